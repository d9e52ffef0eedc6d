"""One person's history as the models take it: rows of the catalogue, oldest first."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from recsys.store.records import Event

Rows = NDArray[np.int64]
"""Positions in the catalogue. Row r is the r-th item of the vocabulary; a row is never given to another item."""

Times = NDArray[np.float64]
"""Seconds since 1970 UTC; NaN where a time is not known."""

NO_ROWS: Rows = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class History:
    """The events of one user, oldest first. `rows` and `at` have the same length; an empty history is a valid one."""

    rows: Rows
    at: Times

    @classmethod
    def undated(cls, rows: Rows) -> "History":
        return cls(rows, np.full(len(rows), np.nan))

    def last(self, length: int) -> "History":
        """The `length` most recent events."""
        return self if len(self.rows) <= length else History(self.rows[-length:], self.at[-length:])

    def __len__(self) -> int:
        return len(self.rows)


def history_of(events: Iterable["Event"], row: Callable[[str], int | None]) -> History:
    """The history that stored `events` make, in the order of the store; items without a row are left out.

    Plain Python for one request; a test compares it with `features.sequences`, which training uses.
    """
    return history_of_pairs(((event.item_id, event.at) for event in events), row)


def history_of_pairs(events: Iterable[tuple[str, float | None]], row: Callable[[str], int | None]) -> History:
    """As `history_of`, from (item id, time) pairs."""
    known = [(number, at) for item_id, at in events if (number := row(item_id)) is not None]
    rows = np.array([number for number, _ in known], dtype=np.int64)
    return History(rows, np.array([np.nan if at is None else at for _, at in known], dtype=np.float64))
