"""Inner products with sparse vectors by an inverted index: a query meets only the rows that share a term with it."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.data.history import NO_ROWS, Rows
from recsys.retrieval.sparse_rows import with_rows

MAX_CHANGED_ROWS = 1000
"""Rows compared one by one, because they changed after the postings were made; from more on these are made anew."""


@dataclass(frozen=True, slots=True, eq=False)
class InvertedIndex:
    """`vectors` (rows, terms) as they are now; `postings` (terms, rows) as they were before the rows `changed`. Immutable."""

    vectors: sp.csr_matrix
    postings: sp.csr_matrix
    changed: Rows

    @classmethod
    def of(cls, vectors: sp.csr_matrix) -> Self:
        """The index of `vectors` (rows, terms)."""
        return cls(vectors, sp.csr_matrix(vectors.T), NO_ROWS)

    @property
    def known(self) -> NDArray[np.bool_]:
        """(rows,): which rows have a term."""
        return np.diff(self.vectors.indptr) > 0

    def products(self, query: sp.csr_matrix) -> NDArray[np.float32]:
        """(rows,): inner products of all rows with `query` (1, terms)."""
        products = np.zeros(self.vectors.shape[0], dtype=np.float32)
        products[: self.postings.shape[1]] = self.postings[query.indices].T @ query.data
        products[self.changed] = self.products_of(self.changed, query)
        return products

    def products_of(self, rows: Rows, query: sp.csr_matrix) -> NDArray[np.float32]:
        """(rows,): inner products of `rows` with `query` (1, terms)."""
        products: NDArray[np.float32] = self.vectors[rows] @ query.toarray().ravel()
        return products

    def with_rows(self, rows: Rows, vectors: sp.csr_matrix) -> Self:
        """The index with `vectors` (rows, terms) at distinct `rows`: new, replaced or beyond the end."""
        replaced, changed = with_rows(self.vectors, rows, vectors), np.union1d(self.changed, rows)
        if len(changed) > MAX_CHANGED_ROWS:
            return type(self).of(replaced)
        return type(self)(replaced, self.postings, changed)
