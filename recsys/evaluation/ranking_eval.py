"""How good each part of a bundle is on questions with known answers, asked the way the service is asked.

Full ranking of the catalogue. A source ranks it whole; a fusion is scored from the list of `CUTOFF` that it returns.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.data.splits import EvalCases
from recsys.metrics.ranking import PerCase, coverage, dense_ranks, hits, listed_ranks, ndcg, reciprocal, user_means
from recsys.ranking.filters import over_catalogue
from recsys.retrieval.serving import Deployed
from recsys.retrieval.source import top

CUTOFF = 500
BLOCK = 256
"""Cases asked at once: bounds the dense scores in memory."""

SHOWN = 10


@dataclass(frozen=True, slots=True, eq=False)
class PartMetrics:
    """Figures of one part, one number per user; `coverage` is the share of the catalogue among all top tens."""

    name: str
    ndcg: PerCase
    hit: PerCase
    mrr: PerCase
    coverage: float


def measure(
    deployed: Deployed, cases: EvalCases, *, items: int, include_seen: bool, names: Iterable[str] | None = None
) -> Iterator[PartMetrics]:
    """One row for each source and fusion, or for those in `names`; users in ascending order, so that rows can be paired."""
    owners = np.unique(np.array(cases.users, dtype=np.str_), return_inverse=True)[1]
    for name in (*deployed.sources, *deployed.fusions) if names is None else names:
        blocks = [
            _block(deployed, name, cases, slice(start, start + BLOCK), items=items, include_seen=include_seen)
            for start in range(0, len(cases), BLOCK)
        ]
        ranks = np.concatenate([ranks for ranks, _ in blocks])
        shown = np.concatenate([shown for _, shown in blocks])
        ndcgs, hit, mrr = (user_means(figure(ranks), owners) for figure in (ndcg, hits, reciprocal))
        yield PartMetrics(name, ndcgs, hit, mrr, coverage(shown, items=items))


def _block(
    deployed: Deployed, name: str, cases: EvalCases, span: slice, *, items: int, include_seen: bool
) -> tuple[PerCase, NDArray[np.int64]]:
    """(ranks of the targets, the ten rows shown)."""
    queries = over_catalogue(cases.histories[span], items=items, include_seen=include_seen)
    targets = cases.targets[span]
    allowed = np.stack([query.allowed for query in queries])
    if name in deployed.fusions:
        found, _ = deployed.search(queries, k=min(CUTOFF, items), encoder=name)
        return listed_ranks(found.rows, found.scores, targets, allowed), found.rows[:, :SHOWN]
    every = np.broadcast_to(np.arange(items), allowed.shape)
    scores = deployed.sources[name].score(queries, every)
    return dense_ranks(scores, targets, allowed), top(np.where(allowed, scores, -np.inf), k=SHOWN).rows
