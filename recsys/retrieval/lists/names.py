"""Lists by their names: what the stored lists with the most similar names hold.

Names are vectors of hashed character n-grams: no vocabulary, any language, emoji too.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.playlists import Playlists
from recsys.data.texts import HashedNgrams
from recsys.errors import within
from recsys.retrieval.lists.neighbours import stored_lists
from recsys.retrieval.lists.sparse import ListQuery, SparseSource, nearest
from recsys.retrieval.neighbours import interactions
from recsys.retrieval.source import Query

NGRAMS = HashedNgrams(dim=512)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNamesConfig:
    """`lists` names count, each with its cosine to `power`, less `floor`: two names share some n-grams by chance.

    A list says of its items what its name says, over the root of an item's count to `rarity`.
    """

    lists: int = 100
    power: float = 3.0
    floor: float = 0.2
    rarity: float = 0.0

    def __post_init__(self) -> None:
        within(self, lists=(1, inf), power=(0, inf), floor=(0, 1), rarity=(0, inf))


class ListNames(SparseSource):
    """`names` (lists, dim) of unit length, zeros for a list without one; `held` (lists, items)."""

    def __init__(
        self, held: sp.csr_matrix, *, names: NDArray[np.float32], weights: NDArray[np.float32], config: ListNamesConfig
    ) -> None:
        self.held, self.names, self.weights, self.config = held, names, weights, config
        self.known = weights > 0
        self._says = sp.csr_matrix(held @ sp.diags_array(weights)).astype(np.float32)

    def opinions(self, queries: Sequence[Query]) -> sp.csr_matrix:
        """By the names of the queries; none for one without a name."""
        asked = encoded([query.name if isinstance(query, ListQuery) else None for query in queries])
        similarity = np.maximum(asked @ self.names.T - self.config.floor, 0)
        return sp.csr_matrix(nearest(similarity, k=self.config.lists, power=self.config.power) @ self._says)

    def part(self, name: str) -> Part:
        arrays = {
            "indices": self.held.indices.astype(np.int32),
            "indptr": self.held.indptr.astype(np.int64),
            "weights": self.weights,
            "names": self.names,
        }
        return Part(name=name, kind="list-names", config=asdict(self.config), arrays=arrays)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a, config = part.arrays, ListNamesConfig(**part.config)
        return cls(stored_lists(part), names=a["names"], weights=a["weights"], config=config)


def encoded(names: Sequence[str | None]) -> NDArray[np.float32]:
    """Unit vectors (names, dim); zeros where there is no name."""
    vectors = NGRAMS.encode([name or "" for name in names])
    vectors[[not (name or "").strip() for name in names]] = 0
    return vectors


def fit_list_names(lists: Playlists, config: ListNamesConfig) -> ListNames:
    """All named lists as possible neighbours."""
    held = interactions(lists.data)
    counts = np.asarray(held.sum(axis=0)).ravel()
    weights = np.where(counts > 0, np.maximum(counts, 1.0) ** -config.rarity, 0).astype(np.float32)
    return ListNames(held, names=encoded(lists.names), weights=weights, config=config)
