"""What a list holds, guessed from its name: ridge regression from what can be read in names to what the lists hold.

Contents are the lists' coordinates in a truncated singular value decomposition, rare items saying more, less their mean. The
guess is a place among the contents, so that a name finds lists that are called otherwise and hold what such names stand for.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import svds

DIM = 96
"""Of the contents."""
SMALL = 200
"""With no more lists, or items, the products of these with each other are taken apart: a matrix that small."""
RIDGE = 0.3
RARITY = 0.5
"""An item weighs its rarity to this power; one of fewer than `FEW` lists says nothing of others."""
FEW = 3
SEED = 0
"""Of the vector that the decomposition starts from."""
COLUMNS = 1024
"""Words are hashed to so many columns."""
BLOCK = 4096
"""Lists whose features are held at once."""


@dataclass(frozen=True, slots=True, eq=False)
class NameToContent:
    """`contents` (lists, dim) of unit length, zeros for a list of none; `weights` (features, dim) lead from names to them."""

    contents: NDArray[np.float32]
    weights: NDArray[np.float32]

    def cosines(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(names, lists): of the contents guessed from each row of `features` with those of each list."""
        cosines: NDArray[np.float32] = (_unit(features @ self.weights) @ self.contents.T).astype(np.float32)
        return cosines


def features(names: NDArray[np.float32], words: sp.csr_matrix, read: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """(names, features): n-grams, hashed words and what a text encoder reads, side by side; zeros for no name."""
    rows = np.repeat(np.arange(words.shape[0]), np.diff(words.indptr))
    shape = (words.shape[0], COLUMNS)
    hashed = sp.csr_matrix((words.data, (rows, words.indices % COLUMNS)), shape=shape).toarray()
    return np.hstack([names, hashed, *([] if read is None else [read])])


def fit_name_to_content(
    held: sp.csr_matrix,
    *,
    names: NDArray[np.float32],
    words: sp.csr_matrix,
    read: NDArray[np.float32] | None,
    shares: NDArray[np.float32],
) -> NameToContent:
    """The least squared error over the lists, each counting its share."""
    contents = _contents(held, shares)
    gram: NDArray[np.float64] = np.zeros((1, 1))
    target = np.zeros((1, 1))
    for start in range(0, len(names), BLOCK):
        block = slice(start, start + BLOCK)
        x = features(names[block], words[block], None if read is None else read[block])
        weighed = x.T * shares[block]
        gram, target = gram + weighed @ x, target + weighed @ contents[block]
    weights = np.linalg.solve(gram + RIDGE * np.eye(len(gram)), target)
    return NameToContent(contents, weights.astype(np.float32))


def _contents(held: sp.csr_matrix, shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """(lists, dim)."""
    counts = np.asarray(held.sum(axis=0)).ravel()
    weights = np.log((1 + held.shape[0]) / np.maximum(counts, 1)) ** RARITY
    some = sp.csr_matrix((held @ sp.diags_array(weights))[:, counts >= FEW])
    lengths = np.sqrt(np.asarray(some.multiply(some).sum(axis=1)).ravel())
    unit = sp.csr_matrix(sp.diags_array(1 / np.maximum(lengths, 1e-9)) @ some)
    if min(unit.shape) > max(SMALL, DIM):
        left, strength, _ = svds(unit, k=DIM, rng=SEED)
        places = left * strength
    elif unit.shape[0] < unit.shape[1]:
        strength, left = np.linalg.eigh((unit @ unit.T).toarray())
        places = (left * np.sqrt(np.maximum(strength, 0)))[:, -DIM:]
    else:
        _, right = np.linalg.eigh((unit.T @ unit).toarray())
        places = unit @ right[:, -DIM:]
    found = _unit(places)
    centred = found - shares @ found / max(float(shares.sum()), 1e-9)
    return _unit(np.where(lengths[:, None] > 0, centred, 0)).astype(np.float32)


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
