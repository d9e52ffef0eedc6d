"""Signals: what kinds of events, sessions and repeat consumption do for the default blend.

    make bench NAME=signals DATA=FOLDER [ROW=personal] [BASE=COMMIT]

Each row is kept once made, and so is each part that it trains: a run that was ended goes on where it stopped. `cost` compares
with an earlier commit.
"""

import sys

from tests.benchmarks import signals_invented, signals_living, signals_repeats
from tests.benchmarks.harness import main

BENCHES = signals_repeats.BENCHES | signals_invented.BENCHES | signals_living.BENCHES

if __name__ == "__main__":
    sys.exit(main(BENCHES, comparisons=signals_living.COMPARISONS))
