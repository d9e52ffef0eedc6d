"""The metrics of the RecSys challenge 2018 for playlist continuation.

Source: Chen, Lamere, Schedl and Zamani (RecSys 2018). R-precision is over items alone, without the share that the challenge
gives for an artist.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.metrics.ranking import PerCase

CUTOFF = 500
"""Items of an answer that count."""
ITEMS_PER_PAGE = 10
"""Items that a user sees before clicking for more."""


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """One number per list; the fewer `clicks` the better, 51 where no target was in the answer."""

    r_precision: PerCase
    ndcg: PerCase
    clicks: PerCase


def figures(rows: NDArray[np.int64], targets: Sequence[NDArray[np.int64]]) -> Figures:
    """Of the ranked `rows` (lists, up to 500), -1 where there is none, against the distinct `targets` of each list."""
    cut = rows[:, :CUTOFF]
    hits = np.stack([np.isin(items, relevant) & (items >= 0) for items, relevant in zip(cut, targets, strict=True)])
    sizes = np.array([len(relevant) for relevant in targets])
    position = np.arange(hits.shape[1])
    gains = 1 / np.log2(position + 2)
    ideal = np.concatenate([[0], np.cumsum(1 / np.log2(np.arange(CUTOFF) + 2))])[np.minimum(sizes, CUTOFF)]
    first = np.where(hits.any(axis=1), hits.argmax(axis=1) // ITEMS_PER_PAGE, CUTOFF // ITEMS_PER_PAGE + 1)
    r_precision = (hits & (position < sizes[:, None])).sum(axis=1) / np.maximum(sizes, 1)
    return Figures(r_precision, hits @ gains / np.maximum(ideal, 1e-12), first.astype(np.float64))
