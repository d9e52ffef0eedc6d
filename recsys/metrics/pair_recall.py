"""Recall of the items that co-occur with an item among the nearest neighbours of its text."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.metrics.ranking import Interval

K = 10
QUERIES_PER_BLOCK = 1024
BOOTSTRAP_SAMPLES = 2000


def partner_recall(
    vectors: NDArray[np.float32],
    pairs: NDArray[np.int64],
    *,
    queries: NDArray[np.int64] | None = None,
    query_vectors: NDArray[np.float32] | None = None,
    k: int = K,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(queries, Recall@k of each): the partners of a query among the `k` nearest of all other `vectors`.

    `vectors` are unit vectors (candidates, dim), and `pairs` (pairs, 2) number them. The queries are all items of pairs, or those
    among `queries`, in ascending order, by their rows of `query_vectors` (default: `vectors`).
    """
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    rows = np.unique(ends[:, 0]) if queries is None else np.intersect1d(ends[:, 0], queries)
    ends = ends[np.lexsort((ends[:, 1], ends[:, 0]))]
    starts, stops = (np.searchsorted(ends[:, 0], rows, side=side) for side in ("left", "right"))
    recalls = np.zeros(len(rows))
    for start in range(0, len(rows), QUERIES_PER_BLOCK):
        block = rows[start : start + QUERIES_PER_BLOCK]
        scores = (vectors if query_vectors is None else query_vectors)[block] @ vectors.T
        scores[np.arange(len(block)), block] = -np.inf
        nearest = np.argpartition(-scores, min(k, scores.shape[1] - 1), axis=1)[:, :k]
        for query, neighbours in enumerate(nearest, start=start):
            partners = ends[starts[query] : stops[query], 1]
            recalls[query] = np.isin(partners, neighbours).mean()
    return rows, recalls


def macro(values: Sequence[NDArray[np.float64]], *, seed: int = 0) -> Interval:
    """The mean over domains of the mean of each one's queries; 95 % bootstrap, queries resampled within each domain."""
    generator, means = np.random.default_rng(seed), np.zeros(BOOTSTRAP_SAMPLES)
    for recalls in values:
        sample = generator.integers(len(recalls), size=(BOOTSTRAP_SAMPLES, len(recalls)))
        means += recalls[sample].mean(axis=1) / len(values)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(np.mean([recalls.mean() for recalls in values])), float(low), float(high))
