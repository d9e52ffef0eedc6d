"""Lists as bags of words, rare ones saying more: of their names, or of the texts of their items."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.retrieval.lists.words import WIDTH, word_bags


@dataclass(frozen=True, slots=True, eq=False)
class Tfidf:
    """`vectors` (lists, WIDTH) of unit length, zeros for a list without words; `rarity` (WIDTH,) says what a word weighs."""

    vectors: sp.csr_matrix
    rarity: NDArray[np.float32]

    def cosines(self, units: sp.csr_matrix) -> NDArray[np.float32]:
        """(names, lists): of what `unit` gives with each list."""
        cosines: NDArray[np.float32] = (units @ self.vectors.T).toarray()
        return cosines

    def unit(self, names: Sequence[str | None]) -> sp.csr_matrix:
        """(names, WIDTH): the words of each name, of unit length; zeros where no word is known."""
        return _unit(word_bags(names), self.rarity)

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """What `from_arrays` reads back."""
        return {
            name: self.vectors.data,
            f"{name}_indices": self.vectors.indices.astype(np.int32),
            f"{name}_indptr": self.vectors.indptr.astype(np.int64),
            f"{name}_rarity": self.rarity,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], name: str) -> Self:
        held = (arrays[name], arrays[f"{name}_indices"], arrays[f"{name}_indptr"])
        return cls(sp.csr_matrix(held, shape=(len(held[2]) - 1, WIDTH)), arrays[f"{name}_rarity"])


def name_tfidf(names: Sequence[str | None]) -> Tfidf:
    """The words of the names."""
    return _fitted(word_bags(names))


def item_text_tfidf(held: sp.csr_matrix, texts: Sequence[str]) -> Tfidf:
    """The words of the `texts` of the items that lists hold (lists, items): each weighs the root of the share of a list's items
    that say it, so that a name is found in what its list holds even where the list is called otherwise."""
    shares = sp.diags_array((1 / np.maximum(np.diff(held.indptr), 1)).astype(np.float32)) @ held
    told = sp.csr_matrix(shares @ word_bags(texts))
    told.data = np.sqrt(told.data)
    return _fitted(told)


def _fitted(bags: sp.csr_matrix) -> Tfidf:
    counts = np.bincount(bags.indices, minlength=bags.shape[1])
    rarity = np.where(counts > 0, np.log((1 + bags.shape[0]) / np.maximum(counts, 1)), 0).astype(np.float32)
    return Tfidf(_unit(bags, rarity), rarity)


def _unit(bags: sp.csr_matrix, rarity: NDArray[np.float32]) -> sp.csr_matrix:
    weighed = sp.csr_matrix(bags @ sp.diags_array(rarity)).astype(np.float32)
    lengths = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags_array((1 / np.maximum(lengths, 1e-9)).astype(np.float32)) @ weighed)
