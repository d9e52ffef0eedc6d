"""What every candidate source offers, whatever it is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import History, Rows
from recsys.indexes.index import empty_result, top_k, write_row

Scores = NDArray[np.float32]
Allowed = NDArray[np.bool_]
"""One flag per catalogue row: may it be returned? Deleted, seen and excluded items are False."""


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One question: what comes after `history`, among the rows that `allowed` marks.

    A `vector` (dim,) stands for the history in the source that it was made for: that of a text.
    """

    history: History
    allowed: Allowed
    vector: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The best rows of each query, best first: `rows` (queries, k) with -1 where fewer exist, `scores` alike with -inf there."""

    rows: NDArray[np.int64]
    scores: Scores


class Source(Protocol):
    """Finds and scores items for histories. Immutable after it was fitted, so that any number of threads may ask it."""

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """The `k` best allowed rows of each query. A source without an opinion (say, on an empty history) returns none."""
        ...

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """Scores of the given `rows` (queries, candidates); NaN where the source has no opinion, also at row -1.

        Where `search` returns a row, `score` gives it the same score.
        """
        ...


def top(scores: Scores, *, k: int) -> Candidates:
    """The `k` best columns of dense `scores` (queries, items), best first; -inf and NaN are never returned.

    Equal scores keep catalogue order.
    """
    queries, items = scores.shape
    found, every = empty_result(queries, k=k), np.arange(items)
    for query in range(queries):
        write_row(found, query, *top_k(every, scores[query].astype(np.float32, copy=False), k=k))
    return Candidates(found.rows, found.scores)


__all__ = ["Allowed", "Candidates", "Query", "Rows", "Scores", "Source", "top"]
