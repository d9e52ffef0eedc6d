"""One person's history as the models see it: rows of the catalogue, oldest first."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
"""Positions in the catalogue. Row r is the r-th item of the vocabulary; a row is never given to another item."""

Times = NDArray[np.float64]
"""Seconds since 1970 UTC; NaN where a time is not known."""

NO_ROWS: Rows = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What one user did, oldest first. `rows` and `at` have the same length; an empty history is a valid one."""

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
