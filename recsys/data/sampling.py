"""Where negatives come from, and how likely each was."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Proposal = Literal["uniform", "popular"]


class NegativeSampler:
    """Draws catalogue rows independently; `log_q` (items,) is the log probability of each, for the log-Q correction."""

    def __init__(self, counts: NDArray[np.int64], *, proposal: Proposal, smoothing: float = 0.75) -> None:
        weights = (
            np.ones(len(counts)) if proposal == "uniform" else np.maximum(counts, 1).astype(np.float64) ** smoothing
        )
        self.probability = weights / weights.sum()
        self.log_q = np.log(self.probability).astype(np.float32)
        self._cumulative = np.cumsum(self.probability)

    def draw(self, size: int, generator: np.random.Generator) -> NDArray[np.int64]:
        """`size` rows, with replacement."""
        drawn = np.searchsorted(self._cumulative, generator.random(size), side="right")
        return np.minimum(drawn, len(self.probability) - 1)
