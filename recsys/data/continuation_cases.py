"""Lists of which some items are withheld, as in the RecSys challenge 2018: what continues them is known."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import History, Rows
from recsys.data.playlists import Playlists

Order = Literal["sensitive", "free"]
"""Does the order of a list count? The seeds of a list are its first items, or any of them."""

SEED_ITEM_COUNTS = (0, 1, 5, 10, 25, 100)
"""Items of a list that are shown; of none, its name alone."""


@dataclass(frozen=True, slots=True, eq=False)
class ContinuationCases:
    """Case i: the list `numbers[i]`, called `names[i]`, of which `seeds[i]` is shown, goes on with the distinct items
    `withheld[i]`. `read` (cases, text_dim) is what a text encoder reads in the names, where one does."""

    numbers: Rows
    names: tuple[str | None, ...]
    seeds: tuple[History, ...]
    withheld: tuple[Rows, ...]
    read: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.seeds)

    def first(self, count: int) -> "ContinuationCases":
        """At most `count` of the cases."""
        read = None if self.read is None else self.read[:count]
        return ContinuationCases(
            self.numbers[:count], self.names[:count], self.seeds[:count], self.withheld[:count], read
        )


def continuation_cases(lists: Playlists, *, seeds: int, order: Order, seed: int) -> ContinuationCases:
    """One case for each list that has `seeds` items and others beside them; without seeds, for each that has a name."""
    numbers, names, shown, withheld = [], [], [], []
    for number, (name, rows) in enumerate(zip(lists.names, lists.rows(), strict=True)):
        if not seeds and not (name or "").strip():
            continue
        chosen = np.arange(len(rows))[:seeds]
        if order == "free":
            chosen = np.sort(np.random.default_rng((seed, seeds, number)).permutation(len(rows))[:seeds])
        rest = np.setdiff1d(rows, rows[chosen])
        if len(chosen) == seeds and len(rest):
            numbers.append(number)
            names.append(name)
            shown.append(History.undated(rows[chosen]))
            withheld.append(rest)
    chosen_lists = np.array(numbers, dtype=np.int64)
    read = None if lists.read is None else lists.read[chosen_lists]
    return ContinuationCases(chosen_lists, tuple(names), tuple(shown), tuple(withheld), read)
