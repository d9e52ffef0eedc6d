"""Ranks and what is made of them. Ties get their expected rank, so constant scores get chance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.source import Allowed, Candidates, Scores

PerUser = NDArray[np.float64]


def dense_ranks(scores: Scores, targets: NDArray[np.int64], allowed: Allowed) -> PerUser:
    """Rank (1 = best) of each query's target among its allowed rows; all arrays but `targets` are (queries, items).

    Items without a score (NaN) come after all others, tied. The target competes whether allowed or not.
    """
    scores = np.where(np.isnan(scores), -np.inf, scores)
    own = np.take_along_axis(scores, targets[:, None], axis=1)
    rivals = allowed.copy()
    np.put_along_axis(rivals, targets[:, None], False, axis=1)
    above = ((scores > own) & rivals).sum(axis=1)
    beside = ((scores == own) & rivals).sum(axis=1)
    return 1 + above + beside / 2


def listed_ranks(found: Candidates, targets: NDArray[np.int64], competing: NDArray[np.int64]) -> PerUser:
    """Rank of each target in a returned list; one outside it gets the mean of the ranks that remain of `competing`."""
    hit = found.rows == targets[:, None]
    inside = hit.any(axis=1)
    own = np.where(hit, found.scores, -np.inf).max(axis=1, keepdims=True)
    listed = found.rows >= 0
    above = (listed & (found.scores > own)).sum(axis=1)
    beside = (listed & (found.scores == own) & ~hit).sum(axis=1)
    length = listed.sum(axis=1)
    outside = (length + 1 + np.maximum(competing, length + 1)) / 2
    return np.where(inside, 1 + above + beside / 2, outside)


def ndcg(ranks: PerUser, *, at: int = 10) -> PerUser:
    """Normalised discounted cumulative gain with one relevant item."""
    return np.where(ranks <= at, 1 / np.log2(ranks + 1), 0.0)


def hits(ranks: PerUser, *, at: int = 10) -> PerUser:
    return (ranks <= at).astype(np.float64)


def reciprocal(ranks: PerUser) -> PerUser:
    return 1 / ranks


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % bootstrap interval over users."""

    mean: float
    low: float
    high: float


def bootstrap(values: PerUser, *, seed: int = 0, draws: int = 1000) -> Interval:
    """Interval of the mean of `values`; give the differences of two models, user by user, for a paired comparison."""
    generator = np.random.default_rng(seed)
    size = len(values)
    means = np.array([values[generator.integers(size, size=size)].mean() for _ in range(draws)])
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))
