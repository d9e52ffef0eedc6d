"""Controls: what playlist, set and beam parts do beside the simplest thing that could have done it.

    make bench NAME=controls DATA=FOLDER [ROW=alone]

What a row trains is kept once made, so that a run that was ended goes on where it stopped.
"""

import sys

from tests.benchmarks.controls_alternatives import alternatives
from tests.benchmarks.controls_order import by_popularity_alone, order
from tests.benchmarks.harness import main

BENCHES = {"order": order, "alone": by_popularity_alone, "alternatives": alternatives}

if __name__ == "__main__":
    sys.exit(main(BENCHES))
