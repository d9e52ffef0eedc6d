"""TF-IDF vectors of lists: over the words of their names, or of the texts of their items."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.retrieval.lists.words import WIDTH, word_bags
from recsys.retrieval.stored_arrays import check_shapes, stored_csr
from recsys.retrieval.tfidf import inverse_document_frequency, unit_tfidf


@dataclass(frozen=True, slots=True, eq=False)
class Tfidf:
    """`vectors` (lists, WIDTH) of unit length, zeros for a list without words; `idf` (WIDTH,) is the weight of each word."""

    vectors: sp.csr_matrix
    idf: NDArray[np.float32]

    def cosines(self, units: sp.csr_matrix) -> NDArray[np.float32]:
        """(names, lists): of what `unit` gives with each list."""
        cosines: NDArray[np.float32] = (units @ self.vectors.T).toarray()
        return cosines

    def unit(self, names: Sequence[str | None]) -> sp.csr_matrix:
        """(names, WIDTH): the words of each name, of unit length; zeros where no word is known."""
        return unit_tfidf(word_bags(names), self.idf)

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """What `from_arrays` reads back."""
        return {
            name: self.vectors.data,
            f"{name}_indices": self.vectors.indices.astype(np.int32),
            f"{name}_indptr": self.vectors.indptr.astype(np.int64),
            f"{name}_idf": self.idf,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], name: str) -> Self:
        data, indices, indptr = (arrays[name], arrays[f"{name}_indices"], arrays[f"{name}_indptr"])
        check_shapes(arrays, **{f"{name}_idf": (WIDTH,)})
        return cls(stored_csr(data, indices, indptr, shape=(len(indptr) - 1, WIDTH)), arrays[f"{name}_idf"])


def name_tfidf(names: Sequence[str | None]) -> Tfidf:
    """The words of the names."""
    return _fitted(word_bags(names))


def item_text_tfidf(members: sp.csr_matrix, texts: Sequence[str]) -> Tfidf:
    """The words of the `texts` of the items in lists, `members` (lists, items). A word weighs the root of the share of the list's
    items with it, so that a name finds a list by its contents where the list has another name."""
    shares = sp.diags_array((1 / np.maximum(np.diff(members.indptr), 1)).astype(np.float32)) @ members
    frequencies = sp.csr_matrix(shares @ word_bags(texts))
    frequencies.data = np.sqrt(frequencies.data)
    return _fitted(frequencies)


def _fitted(bags: sp.csr_matrix) -> Tfidf:
    idf = inverse_document_frequency(bags)
    return Tfidf(unit_tfidf(bags, idf), idf)
