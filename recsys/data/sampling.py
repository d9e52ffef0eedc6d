"""Samples negatives, with the log probability of each."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Proposal = Literal["uniform", "popular", "in-batch"]


class NegativeSampler:
    """Draws catalogue rows independently; `log_q` (items,) is the log probability of each, for the log-Q correction.

    `uniform` draws all alike, `popular` by count to the power of `smoothing`, `in-batch` among the batch's own targets, where
    a row is as frequent as in the data. A row without events is never drawn: it would be a negative only, never a target.
    """

    def __init__(self, counts: NDArray[np.int64], *, proposal: Proposal, smoothing: float = 0.75) -> None:
        self.proposal = proposal
        power = {"uniform": 0.0, "popular": smoothing, "in-batch": 1.0}[proposal]
        self._rows = np.flatnonzero(counts)
        weights = counts[self._rows].astype(np.float64) ** power
        self.log_q = np.full(len(counts), -np.inf, dtype=np.float32)
        self.log_q[self._rows] = np.log(weights / weights.sum())
        self._cumulative = np.cumsum(weights / weights.sum())

    def draw(
        self, size: int, generator: np.random.Generator, *, targets: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """`size` rows, with replacement; `targets` are those of the batch."""
        if self.proposal == "in-batch":
            assert targets is not None
            return generator.choice(targets, size)
        numbers = np.searchsorted(self._cumulative, generator.random(size), side="right")
        return self._rows[np.minimum(numbers, len(self._rows) - 1)]
