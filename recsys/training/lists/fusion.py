"""Fits the weights with which sources continue lists: a conditional logit with all withheld items as targets.

Each list counts alike: its withheld items share one unit of probability; those that no source proposes are left out.
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
from recsys.retrieval.registry import capabilities
from recsys.retrieval.source import Source, StoredSource
from recsys.training.conditional_logit import LogitExamples, fit_conditional_logit

DEPTH = 500
"""Candidates of each source."""
L2 = 0.003
"""Pull towards equal weights with `MAX_CASES_PER_SIZE` cases; with fewer it counts for more."""
MAX_CASES_PER_SIZE = 300
"""Cases that the weights of one size are fitted on."""
MIN_CASES = 100
"""Cases that it takes to fit weights: with a handful, popular items alone win by chance, so equal weights stand."""
TIE_BREAK = 1e-3
"""Share of the blended weights beside those of one source: where it has no score, the others answer."""


def list_queries(cases: ContinuationCases, *, items: int, repeats: bool = False) -> list[ListQuery]:
    """The cases as questions over all `items`, without their seeds unless `repeats`."""
    every = np.ones(items, dtype=np.bool_)
    vectors = cases.name_vectors if cases.name_vectors is not None else [None] * len(cases)
    return [
        ListQuery(seeds, allowed(every, without=[] if repeats else [seeds.rows]), name=name, name_vector=vector)
        for seeds, name, vector in zip(cases.seeds, cases.names, vectors, strict=True)
    ]


def fit_continuation(
    sources: Mapping[str, StoredSource], validation: Playlists, *, seed: int, depth: int = DEPTH
) -> SizeConditionedFusion:
    """The fusion of `sources`, which have not seen the `validation` lists. A size with few cases takes equal weights; for
    lists whose order is free, sources that use it weigh nothing.

    Its figures are R-precisions of each half of the cases by the weights fitted on the other half, for seeds in list order.
    """
    names = tuple(sources)
    weights = np.zeros((len(ORDERS), len(SEED_ITEM_COUNTS), 3, len(names)), dtype=np.float32)
    r_precisions, sole_sources = dict[str, dict[str, float]](), {order: dict[str, str]() for order in ORDERS}
    for i, order in enumerate(ORDERS):
        columns = [column for column, name in enumerate(names) if _answers(sources[name], order)]
        parts = [sources[names[column]] for column in columns]
        for j, size in enumerate(SEED_ITEM_COUNTS):
            examples = _examples(parts, validation, size=size, order=order, seed=seed, depth=depth)
            fitted = fit_weights([case for case in examples if case], sources=len(parts))
            weights[i, j][:, columns] = fitted.values.reshape(3, -1)
            if fitted.sole_source is not None:
                sole_sources[order][str(size)] = names[columns[fitted.sole_source]]
            if order == "sensitive" and len(examples) > 1:
                interval = bootstrap(_cross_validated(examples, sources=len(names)), seed=seed)
                r_precisions[str(size)] = asdict(interval) | {"lists": len(examples)}
    figures = {"validation_r_precision": r_precisions} if r_precisions else {}
    flat = weights.reshape(*weights.shape[:2], -1)
    about = {"lists": len(validation), "sole_sources": sole_sources}
    return SizeConditionedFusion(names, SEED_ITEM_COUNTS, flat, depth, about, figures)


def _answers(source: StoredSource, order: Order) -> bool:
    """Whether `source` is blended for lists of this `order`."""
    return order == "sensitive" or not capabilities(source.kind).order


@dataclass(frozen=True, slots=True, eq=False)
class FusionExample:
    """One list: `x` (candidates, features), and the `shares` (candidates,) of its `withheld` items that each candidate is."""

    x: Features
    shares: NDArray[np.float32]
    withheld: int

    def r_precision(self, weights: NDArray[np.float32]) -> float:
        """Of the candidates ranked by these weights."""
        best = np.argsort(-(self.x @ weights), kind="stable")[: self.withheld]
        return float((self.shares[best] > 0).sum()) / self.withheld


def example(x: Features, rows: NDArray[np.int64], withheld: NDArray[np.int64]) -> FusionExample | None:
    """The example of one list; None where no source proposes any of its withheld items."""
    real = rows >= 0
    hit = np.isin(rows[real], withheld)
    return FusionExample(x[real], (hit / hit.sum()).astype(np.float32), len(withheld)) if hit.any() else None


@dataclass(frozen=True, slots=True, eq=False)
class FittedWeights:
    """`values` (3 * sources,), and the number of the source that has all weight, where one has."""

    values: NDArray[np.float32]
    sole_source: int | None = None


def fit_weights(examples: Sequence[FusionExample], *, sources: int) -> FittedWeights:
    """The weights of highest likelihood, or all weight for the one source whose R-precision is higher: likelihood counts every
    withheld item, a list shows the best ones. Equal weights below `MIN_CASES` examples.

    Higher in cross-validation, with an interval above 0: each half of the examples is measured by the mixture and the source
    that the other half chose.
    """
    if len(examples) < MIN_CASES:
        return FittedWeights(_equal(sources).astype(np.float32))
    blended = _blended(examples, sources=sources)
    best = _best_alone(examples, blended, sources=sources)
    sole = _all_weight(best, blended)
    is_better = _r_precisions(examples, sole).mean() > _r_precisions(examples, blended).mean()
    if is_better and bootstrap(_gains_alone(examples, sources=sources)).low > 0:
        return FittedWeights(sole, best)
    return FittedWeights(blended)


def _equal(sources: int) -> NDArray[np.float64]:
    return np.repeat([2 / sources, 0, 0], sources)


def _blended(examples: Sequence[FusionExample], *, sources: int) -> NDArray[np.float32]:
    start = _equal(sources)
    l2 = np.full(len(start), L2 * MAX_CASES_PER_SIZE / max(1, len(examples)))
    return fit_conditional_logit(_ragged(examples), start=start, l2=l2).astype(np.float32)


def _all_weight(source: int, blended: NDArray[np.float32]) -> NDArray[np.float32]:
    """The weights of one source alone: where it has no score, the others answer."""
    weights = TIE_BREAK * blended
    weights[source] += 1
    return weights


def _best_alone(examples: Sequence[FusionExample], blended: NDArray[np.float32], *, sources: int) -> int:
    """The source that has the highest R-precision by itself."""
    return max(range(sources), key=lambda source: _r_precisions(examples, _all_weight(source, blended)).mean())


def _gains_alone(examples: Sequence[FusionExample], *, sources: int) -> NDArray[np.float64]:
    """R-precision of each example by one source minus that by the mixture, both chosen on the other half."""
    gains = np.empty(len(examples))
    for half in range(2):
        others = examples[1 - half :: 2]
        blended = _blended(others, sources=sources)
        best = _best_alone(others, blended, sources=sources)
        measured = examples[half::2]
        gains[half::2] = _r_precisions(measured, _all_weight(best, blended)) - _r_precisions(measured, blended)
    return gains


def _r_precisions(examples: Sequence[FusionExample], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.array([case.r_precision(weights) for case in examples])


def _ragged(examples: Sequence[FusionExample]) -> LogitExamples:
    offsets = np.cumsum([0, *(len(case.x) for case in examples)])
    x, shares = np.concatenate([case.x for case in examples]), np.concatenate([case.shares for case in examples])
    return LogitExamples(x, shares, offsets)


def _examples(
    sources: Sequence[Source], validation: Playlists, *, size: int, order: Order, seed: int, depth: int
) -> list[FusionExample | None]:
    cases = continuation_cases(validation, seeds=size, order=order, seed=seed).first(MAX_CASES_PER_SIZE)
    queries = list_queries(cases, items=validation.data.items)
    examples = list[FusionExample | None]()
    for start in range(0, len(queries), LISTS_PER_BLOCK):
        block, withheld = queries[start : start + LISTS_PER_BLOCK], cases.targets[start : start + LISTS_PER_BLOCK]
        rows = gather(sources, block, depth=depth)
        examples += map(example, features(sources, block, rows), rows, withheld)
    return examples


def _cross_validated(examples: Sequence[FusionExample | None], *, sources: int) -> NDArray[np.float64]:
    """R-precision of each list by weights fitted on the other half; 0 where no source proposes any withheld item."""
    out = np.zeros(len(examples))
    for half in range(2):
        others = [case for i, case in enumerate(examples) if case and i % 2 != half]
        weights = fit_weights(others, sources=sources).values
        for i in range(half, len(examples), 2):
            out[i] = case.r_precision(weights) if (case := examples[i]) else 0
    return out
