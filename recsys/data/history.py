"""One person's history as the models take it: rows of the catalogue, oldest first."""

from dataclasses import dataclass, field, replace
from math import nan

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
"""Positions in the catalogue. Row r is the r-th item of the vocabulary; a row is never given to another item."""

Times = NDArray[np.float64]
"""Seconds since 1970 UTC; NaN where a time is not known."""

Weights = NDArray[np.float64]
"""What each event counts for, above 0; 1 for one that is like most."""

NO_ROWS: Rows = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class History:
    """The events of one user that speak for their items, oldest first; an empty history is a valid one.

    `rows`, `at`, `weights` and `sessions` have the same length; `sessions` numbers the sessions in ascending order, and
    `last_session` is the id of the last one, if it has any, and `last_at` when the user did anything in it last, be it a view
    that counts for nothing beside the purchase of the same visit. What the user `rejected` is no part of the history.
    """

    rows: Rows
    at: Times
    weights: Weights
    sessions: NDArray[np.int64]
    last_session: str | None = None
    last_at: float = nan
    rejected: Rows = field(default_factory=lambda: NO_ROWS)

    @classmethod
    def undated(cls, rows: Rows) -> "History":
        """Events of one weight, each a session of its own."""
        return cls(rows, np.full(len(rows), np.nan), np.ones(len(rows)), np.arange(len(rows)))

    def select(self, chosen: slice | NDArray[np.bool_] | NDArray[np.int64]) -> "History":
        """The chosen events, without the others."""
        return replace(
            self,
            rows=self.rows[chosen],
            at=self.at[chosen],
            weights=self.weights[chosen],
            sessions=self.sessions[chosen],
        )

    def last(self, length: int) -> "History":
        """The `length` most recent events."""
        return self if len(self.rows) <= length else self.select(slice(len(self.rows) - length, None))

    def then(self, rows: Rows, *, at: float, same_session: bool) -> "History":
        """With more events at its end, of one session: the last one, or a new one."""
        session = int(self.sessions[-1]) + (not same_session) if len(self) else 0
        return replace(
            self,
            rows=np.concatenate([self.rows, rows]),
            at=np.concatenate([self.at, np.full(len(rows), at)]),
            weights=np.concatenate([self.weights, np.ones(len(rows))]),
            sessions=np.concatenate([self.sessions, np.full(len(rows), session)]),
        )

    def events_of_session(self, session: int) -> int:
        """How many events at the end are of this session."""
        return int((self.sessions == session).sum())

    def __len__(self) -> int:
        return len(self.rows)
