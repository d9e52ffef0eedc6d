"""Whether items of the history may be answers: where that gives the higher NDCG@10 on validation.

It is decided before any part is tuned, by two cheap sources that see repetition in opposite ways: what follows the last items,
and what the user had most and last.
"""

from dataclasses import dataclass

import numpy as np

from recsys.data.dataset import Dataset
from recsys.data.history import History
from recsys.data.splits import EvalCases, Split
from recsys.metrics.ranking import Scores, dense_ranks, ndcg
from recsys.ranking.filters import over_catalogue
from recsys.retrieval.fusion import standardised
from recsys.retrieval.markov import MarkovConfig, fit_markov
from recsys.retrieval.source import Query

MAX_CASES = 1000
DECAY = 0.9
"""Of the user's own counts, by session. Source: Hu et al. (arXiv:2006.00556)."""


@dataclass(frozen=True, slots=True)
class SeenRule:
    """NDCG@10 on validation with items of the history among the answers, and without them."""

    with_seen: float
    without_seen: float

    @property
    def include_seen(self) -> bool:
        return self.with_seen > self.without_seen

    def __str__(self) -> str:
        return f"validation NDCG@10 {self.with_seen:.4f} with items of the history, {self.without_seen:.4f} without"


def choose_seen_rule(folds: Split, *, seed: int) -> SeenRule:
    """The rule on up to `MAX_CASES` validation cases; without repeats among them there is nothing to gain."""
    cases = folds.validation.sample(MAX_CASES, seed=seed)
    return SeenRule(_figure(folds.fit, cases, include_seen=True), _figure(folds.fit, cases, include_seen=False))


def _figure(fit: Dataset, cases: EvalCases, *, include_seen: bool) -> float:
    markov, items, figures = fit_markov(fit, MarkovConfig(), repeats=include_seen), fit.items, list[float]()
    for block in cases.blocks(items=items):
        queries = over_catalogue(block, items=items, include_seen=include_seen)
        every = np.broadcast_to(np.arange(items), (len(queries), items))
        scores = standardised(markov.score(queries, every)) + standardised(_own_counts(queries, items))
        allowed = np.stack([query.allowed for query in queries])
        figures.extend(ndcg(dense_ranks(scores, block.targets, allowed)))
    return float(np.mean(figures)) if figures else 0.0


def _own_counts(queries: list[Query], items: int) -> Scores:
    """(queries, items): the user's own counts, each falling by `DECAY` with every later session."""
    out = np.zeros((len(queries), items), dtype=np.float32)
    for i, query in enumerate(queries):
        np.add.at(out[i], query.history.rows, decayed(query.history))
    return out


def decayed(history: History) -> Scores:
    """(events,): weight * `DECAY` ** (sessions since)."""
    if not len(history):
        return np.zeros(0, dtype=np.float32)
    number = np.unique(history.sessions, return_inverse=True)[1]
    return (history.weights * DECAY ** (number[-1] - number)).astype(np.float32)
