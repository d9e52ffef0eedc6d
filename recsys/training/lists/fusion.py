"""Fits the weights with which sources continue lists: a conditional logit with all withheld items as targets.

Each list counts alike: its withheld items share one unit of probability, and those that no source proposes are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.data.continuation_cases import SEED_ITEM_COUNTS, ContinuationCases, Order, continuation_cases
from recsys.data.playlists import Playlists
from recsys.metrics.ranking import bootstrap
from recsys.ranking.filters import allowed
from recsys.retrieval.fusion import Features, features, gather
from recsys.retrieval.lists.continuation import ORDERS, SizeConditionedFusion
from recsys.retrieval.lists.sparse import LISTS_PER_BLOCK, ListQuery
from recsys.retrieval.source import Source

DEPTH = 500
RIDGE = 0.003
"""Pull towards equal weights with `MOST` cases; with fewer it counts for more, so that a handful of lists moves them little."""
MOST = 300
"""Cases that one size is fitted on."""
NEWTON_STEPS = 20


def list_queries(cases: ContinuationCases, *, items: int, repeats: bool = False) -> list[ListQuery]:
    """The cases as questions over all `items`, without the shown ones unless `repeats`."""
    every = np.ones(items, dtype=np.bool_)
    read = cases.read if cases.read is not None else [None] * len(cases)
    return [
        ListQuery(seeds, allowed(every, without=[] if repeats else [seeds.rows]), name=name, read=vector)
        for seeds, name, vector in zip(cases.seeds, cases.names, read, strict=True)
    ]


def fit_continuation(
    sources: Mapping[str, Source], validation: Playlists, *, seed: int, depth: int = DEPTH
) -> SizeConditionedFusion:
    """The fusion of `sources`, which have not seen the `validation` lists. A size without cases takes equal weights.

    Its figures are R-precisions of each half of the cases by the weights that the other half teaches, items shown in order.
    """
    names, parts = tuple(sources), list(sources.values())
    weights = np.empty((len(ORDERS), len(SEED_ITEM_COUNTS), 3 * len(names)), dtype=np.float32)
    measured = dict[str, dict[str, float]]()
    for i, order in enumerate(ORDERS):
        for j, size in enumerate(SEED_ITEM_COUNTS):
            cases = _taught(parts, validation, size=size, order=order, seed=seed, depth=depth)
            weights[i, j] = fitted([case for case in cases if case], sources=len(names))
            if order == "sensitive" and len(cases) > 1:
                found = bootstrap(_by_the_other_half(cases, sources=len(names)), seed=seed)
                measured[str(size)] = asdict(found) | {"lists": len(cases)}
    figures = {"validation_r_precision": measured} if measured else {}
    return SizeConditionedFusion(names, SEED_ITEM_COUNTS, weights, depth, {"lists": len(validation)}, figures)


def _by_the_other_half(cases: Sequence["Told | None"], *, sources: int) -> NDArray[np.float64]:
    """R-precision of each case; 0 of one that no source proposes any withheld item of."""
    out = np.zeros(len(cases))
    for half in range(2):
        weights = fitted([case for i, case in enumerate(cases) if case and i % 2 != half], sources=sources)
        for i in range(half, len(cases), 2):
            out[i] = case.r_precision(weights) if (case := cases[i]) else 0
    return out


def _taught(
    sources: Sequence[Source], validation: Playlists, *, size: int, order: Order, seed: int, depth: int
) -> "list[Told | None]":
    cases = continuation_cases(validation, seeds=size, order=order, seed=seed).first(MOST)
    queries = list_queries(cases, items=validation.data.items)
    found = list[Told | None]()
    for start in range(0, len(queries), LISTS_PER_BLOCK):
        some, wanted = queries[start : start + LISTS_PER_BLOCK], cases.withheld[start : start + LISTS_PER_BLOCK]
        rows = gather(sources, some, depth=depth)
        found += [told(*one) for one in zip(features(sources, some, rows), rows, wanted, strict=True)]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """`x` (candidates, features), of which `share` (candidates,) of the withheld items are each; `withheld` counts them all."""

    x: Features
    share: NDArray[np.float32]
    withheld: int

    def r_precision(self, weights: NDArray[np.float32]) -> float:
        """Of the list, where these weigh its candidates."""
        best = np.argsort(-(self.x @ weights), kind="stable")[: self.withheld]
        return float((self.share[best] > 0).sum()) / self.withheld


def told(x: Features, rows: NDArray[np.int64], withheld: NDArray[np.int64]) -> Told | None:
    """What one list teaches; None where no source proposes any of its withheld items."""
    real = rows >= 0
    hit = np.isin(rows[real], withheld)
    return Told(x[real], (hit / hit.sum()).astype(np.float32), len(withheld)) if hit.any() else None


def fitted(cases: Sequence[Told], *, sources: int) -> NDArray[np.float32]:
    """The weights (3 * sources,) that `cases` teach, or those of one source alone where that finds more of `cases`: likelihood
    counts every withheld item, and what is shown is the top. Equal ones where there is no case."""
    start = np.repeat(np.array([2 / sources, 0, 0]), sources)
    if not cases:
        return start.astype(np.float32)
    alone = np.eye(sources, 3 * sources)
    tried = [weights.astype(np.float32) for weights in (_newton(cases, start), *alone)]
    return max(tried, key=lambda weights: float(np.mean([case.r_precision(weights) for case in cases])))


def _newton(cases: Sequence[Told], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights of least cross-entropy: convex, so that Newton's steps, halved where they overshoot, get there."""
    ridge = RIDGE * MOST / len(cases)
    weights, loss = start, _loss(cases, start, start, ridge)
    for _ in range(NEWTON_STEPS):
        gradient, curve = 2 * ridge * (weights - start), 2 * ridge * np.eye(len(weights))
        for case in cases:
            chance = _chances(case, weights)
            mean = chance @ case.x
            gradient += (mean - case.share @ case.x) / len(cases)
            spread = case.x * np.sqrt(chance)[:, None]
            curve += (spread.T @ spread - np.outer(mean, mean)) / len(cases)
        step = np.linalg.solve(curve, gradient)
        for share in 0.5 ** np.arange(10):
            if (less := _loss(cases, weights - share * step, start, ridge)) < loss:
                break
        else:
            return weights
        weights, gained, loss = weights - share * step, loss - less, less
        if gained < 1e-6:
            break
    return weights


def _chances(case: Told, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    logits = case.x @ weights
    chances = np.exp(logits - logits.max())
    total: NDArray[np.float64] = chances / chances.sum()
    return total


def _loss(cases: Sequence[Told], weights: NDArray[np.float64], start: NDArray[np.float64], ridge: float) -> float:
    told = [float(case.share @ np.log(np.maximum(_chances(case, weights), 1e-30))) for case in cases]
    return -sum(told) / len(told) + ridge * float(((weights - start) ** 2).sum())
