"""TF-IDF: terms weighted by how few documents have them, documents as vectors of unit length."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


def inverse_document_frequency(bags: sp.csr_matrix) -> NDArray[np.float32]:
    """(terms,): log((1 + documents) / documents with the term) from `bags` (documents, terms); 0 where no document has it."""
    counts = np.bincount(bags.indices, minlength=bags.shape[1])
    return np.where(counts > 0, np.log((1 + bags.shape[0]) / np.maximum(counts, 1)), 0).astype(np.float32)


def unit_tfidf(bags: sp.csr_matrix, idf: NDArray[np.float32]) -> sp.csr_matrix:
    """`bags` (documents, terms) times `idf` (terms,), each row of unit length; zeros for a row without a term that weighs."""
    weighted = sp.csr_matrix(bags @ sp.diags_array(idf)).astype(np.float32)
    weighted.eliminate_zeros()
    return unit_rows(weighted)


def unit_rows(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """`matrix` with rows of unit length, apart from those of zeros."""
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags_array((1 / np.maximum(lengths, 1e-9)).astype(np.float32)) @ matrix)
