"""Ranking metrics of each part of a bundle over the full catalogue, computed through the pipeline that serves.

A source ranks the whole catalogue; a fusion is scored on the `CUTOFF` items that it returns.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from recsys.data.splits import EvalCases
from recsys.evaluation.case_groups import most_popular
from recsys.metrics.ranking import PerCase, coverage, dense_ranks, hits, listed_ranks, ndcg, reciprocal, user_means
from recsys.ranking import pipeline
from recsys.ranking.filters import over_catalogue
from recsys.ranking.pipeline import RankingOptions
from recsys.retrieval.serving import ServingModel

CUTOFF = 500
CASES_PER_BLOCK = 256
"""Cases ranked at once: bounds the dense scores in memory."""

TOP = 10


@dataclass(frozen=True, slots=True, eq=False)
class PartMetrics:
    """Figures of one part, one number per user; `case_ndcg` has one per case.

    `coverage` is the share of the catalogue among all top tens, `popular_share` that of the 1 % most popular items in them.
    """

    name: str
    ndcg: PerCase
    hit: PerCase
    mrr: PerCase
    coverage: float
    case_ndcg: PerCase
    popular_share: float


def measure(
    model: ServingModel,
    cases: EvalCases,
    *,
    items: int,
    include_seen: bool,
    names: Iterable[str] | None = None,
    counts: NDArray[np.int64] | None = None,
) -> Iterator[PartMetrics]:
    """Yields the metrics of each source and fusion, or of those in `names`; users ascend, so that parts can be paired.

    `counts` (items,) are the events that each item was learned from.
    """
    popular = most_popular(np.zeros(items, dtype=np.int64) if counts is None else counts)
    owners = np.unique(np.array(cases.users, dtype=np.str_), return_inverse=True)[1]
    for name in (*model.sources, *model.fusions) if names is None else names:
        blocks = [
            _block(model, name, cases, slice(start, start + CASES_PER_BLOCK), items=items, include_seen=include_seen)
            for start in range(0, len(cases), CASES_PER_BLOCK)
        ]
        ranks = np.concatenate([ranks for ranks, _ in blocks])
        top_rows = np.concatenate([rows for _, rows in blocks])
        ndcgs, hit, mrr = (user_means(figure(ranks), owners) for figure in (ndcg, hits, reciprocal))
        is_popular = popular[top_rows[top_rows >= 0]]
        share = nan if counts is None else float(is_popular.sum() / max(len(is_popular), 1))
        yield PartMetrics(name, ndcgs, hit, mrr, coverage(top_rows, items=items), ndcg(ranks), share)


def _block(
    model: ServingModel, part: str, cases: EvalCases, span: slice, *, items: int, include_seen: bool
) -> tuple[PerCase, NDArray[np.int64]]:
    """(ranks of the targets, the rows of the top ten)."""
    queries = over_catalogue(cases[span], items=items, include_seen=include_seen)
    targets = cases.targets[span]
    allowed = np.stack([query.allowed for query in queries])
    if part in model.fusions:
        ranking = pipeline.rank(model, queries, RankingOptions(part=part, k=min(CUTOFF, items), fill=True))
        return listed_ranks(ranking.rows, ranking.scores, targets, allowed), ranking.rows[:, :TOP]
    scores = pipeline.score_catalogue(model, queries, part=part, items=items)
    top_rows = pipeline.rank(model, queries, RankingOptions(part=part, k=TOP, fill=True)).rows
    return dense_ranks(scores, targets, allowed), top_rows
