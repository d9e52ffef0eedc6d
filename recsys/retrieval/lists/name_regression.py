"""The contents of a list predicted from its name, by ridge regression from features of names to contents.

Contents are the lists' coordinates in a truncated singular value decomposition, with rare items weighing more, less their mean.
So a name finds lists with other names that hold what such names stand for.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import svds

DIM = 96
"""Of the contents."""
MAX_GRAM_SIZE = 200
"""Up to so many lists, or items, the eigenvectors of their Gram matrix are taken instead of a truncated decomposition."""
RIDGE = 0.3
IDF_POWER = 0.5
MIN_LISTS = 3
"""An item weighs its idf to `IDF_POWER`; one in fewer lists than `MIN_LISTS` is left out."""
SEED = 0
"""Of the vector that the decomposition starts from."""
COLUMNS = 1024
"""Words are hashed to so many columns."""
LISTS_PER_BLOCK = 4096
"""Lists whose features are in memory at once."""


@dataclass(frozen=True, slots=True, eq=False)
class NameToContent:
    """`contents` (lists, dim) of unit length, zeros for a list of none; `weights` (features, dim) lead from names to them."""

    contents: NDArray[np.float32]
    weights: NDArray[np.float32]

    def cosines(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(names, lists): of the contents predicted from each row of `features` with those of each list."""
        cosines: NDArray[np.float32] = (_unit(features @ self.weights) @ self.contents.T).astype(np.float32)
        return cosines


def features(
    names: NDArray[np.float32], words: sp.csr_matrix, name_vectors: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """(names, features): n-grams, hashed words and the vectors of a text encoder, side by side; zeros for no name."""
    rows = np.repeat(np.arange(words.shape[0]), np.diff(words.indptr))
    shape = (words.shape[0], COLUMNS)
    hashed = sp.csr_matrix((words.data, (rows, words.indices % COLUMNS)), shape=shape).toarray()
    return np.hstack([names, hashed, *([] if name_vectors is None else [name_vectors])])


def fit_name_to_content(
    members: sp.csr_matrix,
    *,
    names: NDArray[np.float32],
    words: sp.csr_matrix,
    name_vectors: NDArray[np.float32] | None,
    shares: NDArray[np.float32],
) -> NameToContent:
    """The least squared error over the lists, each counting its share."""
    contents = _contents(members, shares)
    gram: NDArray[np.float64] = np.zeros((1, 1))
    target = np.zeros((1, 1))
    for start in range(0, len(names), LISTS_PER_BLOCK):
        block = slice(start, start + LISTS_PER_BLOCK)
        x = features(names[block], words[block], None if name_vectors is None else name_vectors[block])
        weighted = x.T * shares[block]
        gram, target = gram + weighted @ x, target + weighted @ contents[block]
    weights = np.linalg.solve(gram + RIDGE * np.eye(len(gram)), target)
    return NameToContent(contents, weights.astype(np.float32))


def _contents(members: sp.csr_matrix, shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """(lists, dim)."""
    counts = np.asarray(members.sum(axis=0)).ravel()
    weights = np.log((1 + members.shape[0]) / np.maximum(counts, 1)) ** IDF_POWER
    weighted = sp.csr_matrix((members @ sp.diags_array(weights))[:, counts >= MIN_LISTS])
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    unit = sp.csr_matrix(sp.diags_array(1 / np.maximum(lengths, 1e-9)) @ weighted)
    if min(unit.shape) > max(MAX_GRAM_SIZE, DIM):
        left, strength, _ = svds(unit, k=DIM, rng=SEED)
        coordinates = left * strength
    elif unit.shape[0] < unit.shape[1]:
        strength, left = np.linalg.eigh((unit @ unit.T).toarray())
        coordinates = (left * np.sqrt(np.maximum(strength, 0)))[:, -DIM:]
    else:
        _, right = np.linalg.eigh((unit.T @ unit).toarray())
        coordinates = unit @ right[:, -DIM:]
    contents = _unit(coordinates)
    centred = contents - shares @ contents / max(float(shares.sum()), 1e-9)
    return _unit(np.where(lengths[:, None] > 0, centred, 0)).astype(np.float32)


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
