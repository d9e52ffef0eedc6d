"""Ranks and the metrics made of them. Ties get their expected rank, so constant scores get chance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Allowed = NDArray[np.bool_]

PerCase = NDArray[np.float64]
"""One number per case, or per user."""


def dense_ranks(scores: Scores, targets: NDArray[np.int64], allowed: Allowed) -> PerCase:
    """Expected rank (1 = best) of each query's target among its allowed rows; all but `targets` are (queries, items).

    With ties in random order: 1 + the rows above + half of the rows level. Items without a score (NaN) come after all others,
    level with each other. A target that is not allowed cannot be returned: it comes after everything that is.
    """
    rivals = allowed.copy()
    np.put_along_axis(rivals, targets[:, None], False, axis=1)
    scores = np.where(np.isnan(scores), -np.inf, scores)
    target_scores = np.take_along_axis(scores, targets[:, None], axis=1)
    above = (rivals & (scores > target_scores)).sum(axis=1)
    level = (rivals & (scores == target_scores)).sum(axis=1)
    reachable = np.take_along_axis(allowed, targets[:, None], axis=1)[:, 0]
    return np.where(reachable, 1 + above + level / 2, 1 + rivals.sum(axis=1))


def listed_ranks(rows: NDArray[np.int64], scores: Scores, targets: NDArray[np.int64], allowed: Allowed) -> PerCase:
    """Expected rank of each target in a returned list, `rows` and `scores` (queries, k), where row -1 is no item.

    Items outside the list share the ranks that remain of the allowed rows. A target that is not allowed comes after
    everything that is, as in `dense_ranks`.
    """
    listed = rows >= 0
    hit = listed & (rows == targets[:, None])
    target_scores = np.where(hit, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    above = (listed & (scores > target_scores)).sum(axis=1)
    level = (listed & ~hit & (scores == target_scores)).sum(axis=1)
    length, competing = listed.sum(axis=1), allowed.sum(axis=1)
    outside = (length + 1 + np.maximum(competing, length + 1)) / 2
    reachable = np.take_along_axis(allowed, targets[:, None], axis=1)[:, 0]
    return np.where(hit.any(axis=1), 1 + above + level / 2, np.where(reachable, outside, competing + 1))


def ndcg(ranks: PerCase, *, at: int = 10) -> PerCase:
    """Normalised discounted cumulative gain with one relevant item."""
    return np.where(ranks <= at, 1 / np.log2(ranks + 1), 0.0)


def hits(ranks: PerCase, *, at: int = 10) -> PerCase:
    """1 where the target is among the first `at`, else 0: hit rate, and recall with one relevant item."""
    return (ranks <= at).astype(np.float64)


def reciprocal(ranks: PerCase) -> PerCase:
    """1 / rank; its mean is MRR."""
    return 1 / ranks


def coverage(rows: NDArray[np.int64], *, items: int) -> float:
    """Share of the catalogue that is in at least one answer, `rows` (queries, k); -1 is no item."""
    return len(np.unique(rows[rows >= 0])) / items


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % bootstrap interval, which contains it.

    The mean of equal values and the quantiles of their resampled means differ in the last bit: a bound on the wrong side of the
    mean moves to it.
    """

    mean: float
    low: float
    high: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", min(self.low, self.mean))
        object.__setattr__(self, "high", max(self.high, self.mean))

    def __str__(self) -> str:
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


def bootstrap(values: PerCase, *, seed: int = 0, draws: int = 2000) -> Interval:
    """Interval of the mean of `values`, one per user; their differences, user by user, make a paired comparison.

    Sampling users with replacement is one multinomial sample over the distinct values: the same distribution, and fast, for
    metrics have few. No values give NaN.
    """
    if not len(values):
        return Interval(np.nan, np.nan, np.nan)
    distinct, counts = np.unique(values, return_counts=True)
    samples = np.random.default_rng(seed).multinomial(len(values), counts / len(values), size=draws)
    low, high = np.quantile(samples @ distinct / len(values), [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))


def paired(values: PerCase, reference: PerCase, *, seed: int = 0, draws: int = 2000) -> Interval:
    """How much better `values` are than `reference`, user by user; an interval above 0 is a significant difference."""
    return bootstrap(values - reference, seed=seed, draws=draws)


def user_means(values: PerCase, owners: NDArray[np.int64]) -> PerCase:
    """The mean of each user's cases, users in ascending order of `owners`, so that busy users count once each."""
    _, users, counts = np.unique(owners, return_inverse=True, return_counts=True)
    return np.bincount(users, weights=values) / counts
