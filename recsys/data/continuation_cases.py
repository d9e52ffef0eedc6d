"""Evaluation cases of playlist continuation, as in the RecSys challenge 2018: some items of a list are withheld as targets."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import History, Rows
from recsys.data.playlists import Playlists

Order = Literal["sensitive", "free"]
"""Does the order of a list count? The seeds of a list are its first items, or any of them."""

SEED_ITEM_COUNTS = (0, 1, 5, 10, 25, 100)
"""Items of a list that are given to the model; 0: its name alone."""


@dataclass(frozen=True, slots=True, eq=False)
class ContinuationCases:
    """Case i: the list `numbers[i]` with the name `names[i]` starts with `seeds[i]` and goes on with the distinct items
    `targets[i]`. `name_vectors` (cases, text_dim) are those of the names where a text encoder reads them."""

    numbers: Rows
    names: tuple[str | None, ...]
    seeds: tuple[History, ...]
    targets: tuple[Rows, ...]
    name_vectors: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.seeds)

    def first(self, count: int) -> "ContinuationCases":
        """At most `count` of the cases."""
        vectors = None if self.name_vectors is None else self.name_vectors[:count]
        return ContinuationCases(
            self.numbers[:count], self.names[:count], self.seeds[:count], self.targets[:count], vectors
        )


def continuation_cases(lists: Playlists, *, seeds: int, order: Order, seed: int) -> ContinuationCases:
    """One case for each list with `seeds` items and at least one other; without seeds, for each list with a name."""
    numbers, names, histories, targets = [], [], [], []
    for number, (name, rows) in enumerate(zip(lists.names, lists.rows(), strict=True)):
        if not seeds and not (name or "").strip():
            continue
        chosen = np.arange(len(rows))[:seeds]
        if order == "free":
            chosen = np.sort(np.random.default_rng((seed, seeds, number)).permutation(len(rows))[:seeds])
        others = np.setdiff1d(rows, rows[chosen])
        if len(chosen) == seeds and len(others):
            numbers.append(number)
            names.append(name)
            histories.append(History.undated(rows[chosen]))
            targets.append(others)
    chosen_lists = np.array(numbers, dtype=np.int64)
    vectors = None if lists.name_vectors is None else lists.name_vectors[chosen_lists]
    return ContinuationCases(chosen_lists, tuple(names), tuple(histories), tuple(targets), vectors)
