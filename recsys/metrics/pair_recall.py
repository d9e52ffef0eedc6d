"""Whether an item's nearest texts are those of the items it goes together with."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.metrics.ranking import Interval

K = 10
BLOCK = 1024
DRAWS = 2000


def partner_recall(
    vectors: NDArray[np.float32],
    pairs: NDArray[np.int64],
    *,
    queries: NDArray[np.int64] | None = None,
    asked: NDArray[np.float32] | None = None,
    k: int = K,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(queries, Recall@k of each): each asks for all its partners among all other `vectors`.

    `vectors` are unit vectors (candidates, dim), and `pairs` (pairs, 2) number them. Every item of a pair asks, or those of
    `queries` that are in one; in ascending order. They ask with their rows of `asked`, if it is given.
    """
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    asking = np.unique(ends[:, 0]) if queries is None else np.intersect1d(ends[:, 0], queries)
    ends = ends[np.lexsort((ends[:, 1], ends[:, 0]))]
    starts, stops = (np.searchsorted(ends[:, 0], asking, side=side) for side in ("left", "right"))
    found = np.zeros(len(asking))
    for start in range(0, len(asking), BLOCK):
        block = asking[start : start + BLOCK]
        scores = (vectors if asked is None else asked)[block] @ vectors.T
        scores[np.arange(len(block)), block] = -np.inf
        nearest = np.argpartition(-scores, min(k, scores.shape[1] - 1), axis=1)[:, :k]
        for place, row in enumerate(nearest, start=start):
            partners = ends[starts[place] : stops[place], 1]
            found[place] = np.isin(partners, row).mean()
    return asking, found


def macro(values: Sequence[NDArray[np.float64]], *, seed: int = 0) -> Interval:
    """The mean over domains of the mean of each one's queries; 95 % bootstrap, queries drawn anew within each domain."""
    generator, drawn = np.random.default_rng(seed), np.zeros(DRAWS)
    for own in values:
        drawn += own[generator.integers(len(own), size=(DRAWS, len(own)))].mean(axis=1) / len(values)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(np.mean([own.mean() for own in values])), float(low), float(high))
