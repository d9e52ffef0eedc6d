"""All histories over one catalogue, flat in memory: the training data of every part."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import History, Rows, Times


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Histories stored end to end: that of user u is `rows[starts[u]:starts[u + 1]]`, oldest first.

    `item_ids`, `texts` and `domains` have one entry per catalogue row, `users` one per history.
    `at` is in seconds (NaN: not known). `folds` has the fold of each event: 0 fit, 1 validation, 2 test
    (`features.splits`).
    """

    item_ids: tuple[str, ...]
    texts: tuple[str, ...]
    users: tuple[str, ...]
    starts: NDArray[np.int64]
    rows: Rows
    at: Times
    folds: NDArray[np.uint8]
    domains: tuple[str | None, ...] = ()

    @property
    def items(self) -> int:
        """Size of the catalogue."""
        return len(self.item_ids)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Events of each user."""
        return np.diff(self.starts)

    @property
    def hash(self) -> str:
        """Changes with any item, user or event, and with the holdout."""
        digest = hashlib.sha256(json.dumps([self.item_ids, self.users]).encode())
        for array in (self.starts, self.rows, self.folds):
            digest.update(array.tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.users)

    def history(self, user: int) -> History:
        span = slice(self.starts[user], self.starts[user + 1])
        return History(self.rows[span], self.at[span])

    def histories(self) -> Iterator[History]:
        return (self.history(user) for user in range(len(self)))

    def counts(self) -> NDArray[np.int64]:
        """Events of each catalogue row."""
        return np.bincount(self.rows, minlength=self.items)

    def keep(self, events: NDArray[np.bool_]) -> "Dataset":
        """The same users and catalogue with the marked events only; `events` has one flag per event."""
        owner = np.repeat(np.arange(len(self)), self.lengths)
        lengths = np.bincount(owner[events], minlength=len(self))
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return replace(self, starts=starts, rows=self.rows[events], at=self.at[events], folds=self.folds[events])
