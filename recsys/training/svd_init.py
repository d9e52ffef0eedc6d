"""Where the vectors of ids start: items that share users start close, so that a run of few epochs has less to find out.

Truncated singular value decomposition of the interactions, each divided by the root of its user's and its item's count.
Source: randomised range finder with power iterations, Halko, Martinsson and Tropp (arXiv:0909.4061), algorithms 4.4 and 5.1.
"""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.data.dataset import Dataset
from recsys.retrieval.neighbours import interactions

OVERSAMPLING = 16
POWER_ITERATIONS = 4


def svd_embeddings(dataset: Dataset, *, dim: int, seed: int) -> NDArray[np.float32]:
    """Vectors (items, dim) of unit length, in a random rotation; zeros for an item without events."""
    generator = np.random.default_rng(seed)
    seen = interactions(dataset)
    users, items = (np.maximum(np.asarray(seen.sum(axis=axis)).ravel(), 1) for axis in (1, 0))
    scaled = sp.csr_matrix(sp.diags_array(users**-0.5) @ seen @ sp.diags_array(items**-0.5))
    guess = scaled @ generator.normal(size=(dataset.items, dim + OVERSAMPLING))
    for _ in range(POWER_ITERATIONS):
        guess = scaled @ (scaled.T @ np.linalg.qr(guess)[0])
    basis = np.linalg.qr(guess)[0]
    _, strength, directions = np.linalg.svd((scaled.T @ basis).T, full_matrices=False)
    rank = min(dim, len(strength))
    vectors = np.zeros((dataset.items, dim))
    vectors[:, :rank] = directions[:rank].T * np.sqrt(strength[:rank])
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    rotation = np.linalg.qr(generator.normal(size=(dim, dim)))[0]
    unit: NDArray[np.float32] = (vectors / np.maximum(lengths, 1e-9) @ rotation).astype(np.float32)
    return unit
