"""New items: what sources make of items that came after the training.

    make bench NAME=new-items DATA=FOLDER [ROW=lexical]

Each subject has a module of its own.
"""

import sys

from tests.benchmarks import new_items_blend, new_items_cold, new_items_search, new_items_training
from tests.benchmarks.harness import main

BENCHES = {
    **new_items_cold.BENCHES,
    **new_items_blend.BENCHES,
    **new_items_search.BENCHES,
    **new_items_training.BENCHES,
}

if __name__ == "__main__":
    sys.exit(main(BENCHES))
