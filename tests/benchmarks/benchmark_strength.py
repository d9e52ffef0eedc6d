"""The main job under load: requests a second, memory, batch, filters, imports, kills, waiting writers, cold items on a replica,
answers while another process imports, and while bundles are activated; forgotten users, stalled clients, slow bodies.

    make bench NAME=strength DATA=FOLDER [ROW=serving]

Speeds are ratios within one run, so that they can be compared between machines. Each subject has a module of its own.
"""

import sys

from tests.benchmarks import (
    strength_activations,
    strength_attacks,
    strength_batch,
    strength_cold,
    strength_durability,
    strength_imports,
    strength_memory,
    strength_recall,
    strength_serving,
    strength_sync,
    strength_writers,
)
from tests.benchmarks.harness import main

BENCHES = (
    strength_serving.BENCHES
    | strength_batch.BENCHES
    | strength_memory.BENCHES
    | strength_recall.BENCHES
    | strength_cold.BENCHES
    | strength_imports.BENCHES
    | strength_durability.BENCHES
    | strength_sync.BENCHES
    | strength_writers.BENCHES
    | strength_activations.BENCHES
    | strength_attacks.BENCHES
)

if __name__ == "__main__":
    sys.exit(main(BENCHES))
