"""Neighbour lists: what the stored lists most like this one hold.

Source: playlist-based nearest neighbours as in Jannach, Kamehkhosh and Lerche (SAC 2017) and vl-kNN of the RecSys challenge
2018: cosine of lists whose items weigh by their rarity, the similarity of a neighbour to a power.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.dataset import Dataset
from recsys.errors import check_ranges
from recsys.retrieval.lists.sparse import SparseSource, list_vectors, nearest
from recsys.retrieval.neighbours import interactions
from recsys.retrieval.source import Query
from recsys.retrieval.stored_arrays import stored_csr


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNeighboursConfig:
    """`lists` neighbours count, each with its similarity to `power`; an item weighs its rarity to `rarity`."""

    lists: int = 500
    power: float = 1.0
    rarity: float = 1.0

    def __post_init__(self) -> None:
        check_ranges(self, lists=(1, inf), power=(0, 10), rarity=(0, 10))


class ListNeighbours(SparseSource):
    """`members` (lists, items) is 1 where a stored list has an item, `weights` (items,) is the weight of each item."""

    kind = "list-neighbours"

    def __init__(self, members: sp.csr_matrix, *, weights: NDArray[np.float32], config: ListNeighboursConfig) -> None:
        self.members, self.weights, self.config = members, weights, config
        self.known = weights > 0
        scaled = sp.csr_matrix(members @ sp.diags_array(weights))
        lengths = np.sqrt(np.asarray(scaled.multiply(scaled).sum(axis=1)).ravel())
        self._columns = sp.csr_matrix((sp.diags_array(1 / np.maximum(lengths, 1e-9)) @ scaled).T).astype(np.float32)

    def sparse_scores(self, queries: Sequence[Query]) -> sp.csr_matrix:
        return sp.csr_matrix(self.neighbours(list_vectors(queries, self.weights)) @ self.members)

    def neighbours(self, weighted: sp.csr_matrix) -> sp.csr_matrix:
        """(queries, lists): similarity to the power, of the neighbours of lists with item weights (queries, items)."""
        similarity = np.asarray((weighted @ self._columns).toarray())
        return nearest(similarity, k=self.config.lists, power=self.config.power)

    def part(self, name: str) -> Part:
        arrays = {
            "indices": self.members.indices.astype(np.int32),
            "indptr": self.members.indptr.astype(np.int64),
            "weights": self.weights,
        }
        return Part(name=name, kind=self.kind, config=asdict(self.config), arrays=arrays)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a = part.arrays
        return cls(list_members(part), weights=a["weights"], config=ListNeighboursConfig(**part.config))


def list_members(part: Part) -> sp.csr_matrix:
    """The (lists, items) matrix of ones that `part` holds."""
    indices, indptr = part.arrays["indices"], part.arrays["indptr"]
    ones = np.ones(len(indices), dtype=np.float32)
    return stored_csr(ones, indices, indptr, shape=(len(indptr) - 1, len(part.arrays["weights"])))


def fit_list_neighbours(dataset: Dataset, config: ListNeighboursConfig) -> ListNeighbours:
    """All lists of `dataset` as possible neighbours."""
    return list_neighbours(interactions(dataset), config)


def list_neighbours(members: sp.csr_matrix, config: ListNeighboursConfig) -> ListNeighbours:
    """All of the lists `members` (lists, items) as possible neighbours."""
    counts = np.asarray(members.sum(axis=0)).ravel()
    idf = np.log((1 + members.shape[0]) / np.maximum(counts, 1)) ** config.rarity
    return ListNeighbours(members, weights=np.where(counts > 0, idf, 0).astype(np.float32), config=config)
