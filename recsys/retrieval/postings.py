"""Bags of terms by row, searched by term: a query meets only the rows that share a term with it."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.data.history import NO_ROWS, Rows
from recsys.retrieval.sparse_rows import with_rows

MAX_CHANGED_SHARE = 1 / 8
"""Share of the rows compared one by one, because they changed after the rest was laid out by term; from more on all is."""


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """`by_term` (terms, rows) apart from the rows `changed`, ascending, whose bags are `bags` (changed, terms). Immutable."""

    by_term: sp.csr_matrix
    changed: Rows
    bags: sp.csr_matrix

    @classmethod
    def of(cls, bags: sp.csr_matrix) -> Self:
        """The postings of `bags` (rows, terms)."""
        return cls(sp.csr_matrix(bags.T), NO_ROWS, sp.csr_matrix((0, bags.shape[1]), dtype=np.float32))

    def __len__(self) -> int:
        """The number of rows."""
        return max(self.by_term.shape[1], int(self.changed.max(initial=-1)) + 1)

    @property
    def is_laid_out(self) -> bool:
        """Are all rows laid out by term?"""
        return not len(self.changed)

    def products(self, query: sp.csr_matrix) -> NDArray[np.float32]:
        """(rows,): inner products of all rows with `query` (1, terms)."""
        products = np.zeros(len(self), dtype=np.float32)
        products[: self.by_term.shape[1]] = self.by_term[query.indices].T @ query.data
        if len(self.changed):
            products[self.changed] = self.bags @ query.toarray().ravel()
        return products

    def squared_lengths(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """(rows,): squared lengths of all rows where each term is weighted by `weights` (terms,)."""
        lengths = np.zeros(len(self), dtype=np.float32)
        lengths[: self.by_term.shape[1]] = self.by_term.power(2).T @ weights**2
        lengths[self.changed] = self.bags.power(2) @ weights**2
        return lengths

    def with_rows(self, rows: Rows, bags: sp.csr_matrix) -> Self:
        """The postings with `bags` (rows, terms) at distinct `rows`: new, replaced or beyond the end.

        All are laid out by term once more than `MAX_CHANGED_SHARE` of them changed.
        """
        unchanged = ~np.isin(self.changed, rows)
        changed = np.concatenate([self.changed[unchanged], rows])
        order = np.argsort(changed)
        changed, stacked = changed[order], sp.vstack([self.bags[unchanged], bags], format="csr")[order]
        if len(changed) > MAX_CHANGED_SHARE * self.by_term.shape[1]:
            return type(self).of(with_rows(sp.csr_matrix(self.by_term.T), changed, stacked))
        return type(self)(self.by_term, changed, stacked)
