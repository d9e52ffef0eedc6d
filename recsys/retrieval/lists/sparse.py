"""Questions about lists, and the sources that answer them by adding up what is stored, most of which has no opinion."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.data.history import NO_ROWS, Rows
from recsys.indexes.index import empty_result, top_k, write_row
from recsys.retrieval.source import Candidates, Query, Scores

LISTS_PER_BLOCK = 64
"""Lists asked about at once: bounds the dense scores in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class ListQuery(Query):
    """What comes after a list that may have a name; a list of no items is asked about by its name alone.

    `read` (text_dim,) is what the text encoder that the parts stand on reads in the name.
    """

    name: str | None = None
    read: NDArray[np.float32] | None = None


class SparseSource(ABC):
    """`known` marks the items of which the source may have an opinion."""

    known: NDArray[np.bool_]

    @abstractmethod
    def sparse_scores(self, queries: Sequence[Query]) -> sp.csr_matrix:
        """(queries, items): positive scores, a row of none where the source has no opinion on the query."""

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """The best rows that the source has an opinion on."""
        found = empty_result(len(queries), k=k)
        for start in range(0, len(queries), LISTS_PER_BLOCK):
            block = queries[start : start + LISTS_PER_BLOCK]
            scores = self.sparse_scores(block)
            scores.sort_indices()
            for i, query in enumerate(block):
                span = slice(scores.indptr[i], scores.indptr[i + 1])
                rows, values = scores.indices[span].astype(np.int64), scores.data[span].astype(np.float32)
                shown = (values > 0) & (rows < len(query.allowed))
                shown[shown] = query.allowed[rows[shown]]
                write_row(found, start + i, *top_k(rows[shown], values[shown], k=k))
        return Candidates(*found)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """Scores of `rows`: 0 for a known item without an opinion, NaN for one that is not known, and all NaN for a query
        that the source is silent on."""
        out = np.full(rows.shape, np.nan, dtype=np.float32)
        inside = (rows >= 0) & (rows < len(self.known))
        inside[inside] = self.known[rows[inside]]
        for start in range(0, len(queries), LISTS_PER_BLOCK):
            scores = self.sparse_scores(queries[start : start + LISTS_PER_BLOCK])
            for i in np.flatnonzero(np.diff(scores.indptr)):
                dense = scores[[i]].toarray()[0]
                out[start + i, inside[start + i]] = dense[rows[start + i, inside[start + i]]]
        return out


def list_vectors(queries: Sequence[Query], weights: NDArray[np.float32]) -> sp.csr_matrix:
    """(queries, items): the distinct items of each list with their `weights` (items,), those that weigh nothing left out."""
    held = [_distinct(query.history.rows, weights) for query in queries]
    columns = np.concatenate([*held, NO_ROWS])
    starts = np.concatenate([[0], np.cumsum([len(rows) for rows in held])])
    return sp.csr_matrix((weights[columns], columns, starts), shape=(len(queries), len(weights)))


def _distinct(rows: Rows, weights: NDArray[np.float32]) -> Rows:
    rows = np.unique(rows[rows < len(weights)])
    return rows[weights[rows] > 0]


def nearest(similarity: NDArray[np.float32], *, k: int, power: float) -> sp.csr_matrix:
    """(queries, lists): the `k` largest of each row, to a power; those of nothing are left out."""
    k = min(k, similarity.shape[1])
    if k == 0:
        return sp.csr_matrix(similarity.shape, dtype=np.float32)
    columns = np.sort(np.argpartition(-similarity, k - 1, axis=1)[:, :k], axis=1)
    values = np.maximum(np.take_along_axis(similarity, columns, axis=1), 0) ** power
    starts = np.arange(0, values.size + 1, k)
    kept = sp.csr_matrix((values.ravel().astype(np.float32), columns.ravel(), starts), shape=similarity.shape)
    kept.eliminate_zeros()
    return kept
