"""Sparse matrices whose rows are replaced one by one, as items are written."""

import numpy as np
import scipy.sparse as sp

from recsys.data.history import Rows


def with_rows(matrix: sp.csr_matrix, rows: Rows, new: sp.csr_matrix) -> sp.csr_matrix:
    """`matrix` with the rows of `new` at distinct `rows`: replaced, or beyond its end; rows in between are empty."""
    old, width = matrix.shape
    size = max(old, int(rows.max(initial=-1)) + 1)
    sources = np.full(size, old + len(rows))
    sources[:old] = np.arange(old)
    sources[rows] = old + np.arange(len(rows))
    empty = sp.csr_matrix((1, width), dtype=np.float32)
    return sp.csr_matrix(sp.vstack([matrix, new, empty], format="csr")[sources])
