"""Queries about lists, and the base class of sources with sparse scores: most items get none."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.data.history import NO_ROWS, Rows
from recsys.indexes.index import empty_result, top_k, write_row
from recsys.retrieval.source import Candidates, Query, Scores, StoredSource

LISTS_PER_BLOCK = 64
"""Lists answered at once: bounds the dense scores in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class ListQuery(Query):
    """What comes after a list that may have a name; a list of no items is continued by its name alone.

    `name_vector` (text_dim,) is the name as the text encoder of the bundle reads it.
    """

    name: str | None = None
    name_vector: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class QueryName:
    """The name of a query's list, and its text vector (text_dim,), as far as there are any."""

    name: str | None = None
    vector: NDArray[np.float32] | None = None


def name_of(query: Query) -> QueryName:
    """The name that a query about a list carries; none of other queries."""
    return QueryName(query.name, query.name_vector) if isinstance(query, ListQuery) else QueryName()


class SparseSource(StoredSource):
    """`known` marks the items that can have a score."""

    known: NDArray[np.bool_]

    @abstractmethod
    def sparse_scores(self, queries: Sequence[Query]) -> sp.csr_matrix:
        """(queries, items): positive scores; an empty row where the source has none for the query."""

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """The best rows that have a score."""
        result = empty_result(len(queries), k=k)
        for start in range(0, len(queries), LISTS_PER_BLOCK):
            block = queries[start : start + LISTS_PER_BLOCK]
            scores = self.sparse_scores(block)
            scores.sort_indices()
            for i, query in enumerate(block):
                span = slice(scores.indptr[i], scores.indptr[i + 1])
                rows, values = scores.indices[span].astype(np.int64), scores.data[span].astype(np.float32)
                inside = (values > 0) & (rows < len(query.allowed))
                inside[inside] = query.allowed[rows[inside]]
                write_row(result, start + i, *top_k(rows[inside], values[inside], k=k))
        return Candidates(*result)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """Scores of `rows`: 0 for a known item without one, NaN for an unknown item, and all NaN for a query without any."""
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
    """(queries, items): the distinct items of each list with their `weights` (items,); items of weight 0 are left out."""
    lists = [_distinct(query.history.rows, weights) for query in queries]
    columns = np.concatenate([*lists, NO_ROWS])
    starts = np.concatenate([[0], np.cumsum([len(rows) for rows in lists])])
    return sp.csr_matrix((weights[columns], columns, starts), shape=(len(queries), len(weights)))


def _distinct(rows: Rows, weights: NDArray[np.float32]) -> Rows:
    rows = np.unique(rows[rows < len(weights)])
    return rows[weights[rows] > 0]


def nearest(similarity: NDArray[np.float32], *, k: int, power: float) -> sp.csr_matrix:
    """(queries, lists): the `k` largest of each row, to a power; zeros are left out."""
    k = min(k, similarity.shape[1])
    if k == 0:
        return sp.csr_matrix(similarity.shape, dtype=np.float32)
    columns = np.sort(np.argpartition(-similarity, k - 1, axis=1)[:, :k], axis=1)
    values = np.maximum(np.take_along_axis(similarity, columns, axis=1), 0) ** power
    starts = np.arange(0, values.size + 1, k)
    largest = sp.csr_matrix((values.ravel().astype(np.float32), columns.ravel(), starts), shape=similarity.shape)
    largest.eliminate_zeros()
    return largest
