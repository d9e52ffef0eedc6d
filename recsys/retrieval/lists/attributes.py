"""Items that share an attribute value (artist, album, brand) with the items of a list. Reaches items that no list holds yet."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.history import Rows
from recsys.data.playlists import Playlists
from recsys.errors import check_ranges
from recsys.retrieval.lists.groups import grouped, groups, item_weights, stored
from recsys.retrieval.lists.sparse import SparseSource, list_vectors
from recsys.retrieval.source import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAttributesConfig:
    """A value is a group where it stands at 2 items and at most at the share `common` of them. An item counts with the
    logarithm of its occurrences, to `popularity`."""

    common: float = 0.05
    popularity: float = 1.0

    def __post_init__(self) -> None:
        check_ranges(self, common=(0, 1), popularity=(0, inf))


class ListAttributes(SparseSource):
    """`groups` (items, values) is 1 where an item has a value, `weights` (items,) how much an item counts; the first `kinds` of
    the values are those of the attribute that groups items, such as their artist."""

    kind = "list-attributes"

    def __init__(
        self, groups: sp.csr_matrix, *, weights: NDArray[np.float32], kinds: int, config: ListAttributesConfig
    ) -> None:
        self.groups, self.weights, self.kinds, self.config = groups, weights, kinds, config
        self.known = np.diff(groups.indptr) > 0
        self._ones = self.known.astype(np.float32)
        self._scores = sp.csr_matrix(groups.T @ sp.diags_array(weights)).astype(np.float32)
        first, grouping = np.full(groups.shape[0], kinds), groups.indices < kinds
        owners = np.repeat(np.arange(len(first)), np.diff(groups.indptr))
        np.minimum.at(first, owners[grouping], groups.indices[grouping])
        self._group = np.where(first < kinds, first, -1)

    def sparse_scores(self, queries: Sequence[Query]) -> sp.csr_matrix:
        """By the share of a list's items that have a value."""
        lists = list_vectors(queries, self._ones)
        sizes = np.maximum(np.diff(lists.indptr), 1)
        return sp.csr_matrix(sp.diags_array(1 / sizes) @ lists @ self.groups @ self._scores)

    def group_of(self, rows: Rows) -> NDArray[np.int64]:
        """(rows,): the number of each item's group by the attribute that groups items, such as its artist; -1 for none."""
        out = np.full(len(rows), -1, dtype=np.int64)
        inside = rows < len(self._group)
        out[inside] = self._group[rows[inside]]
        return out

    def part(self, name: str) -> Part:
        values = {"values": np.array([self.groups.shape[1]]), "kinds": np.array([self.kinds])}
        arrays = stored(self.groups) | {"weights": self.weights} | values
        return Part(name=name, kind=self.kind, config=asdict(self.config), arrays=arrays)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a = part.arrays
        groups = grouped(a, values=int(a["values"][0]))
        return cls(groups, weights=a["weights"], kinds=int(a["kinds"][0]), config=ListAttributesConfig(**part.config))


def fit_list_attributes(lists: Playlists, config: ListAttributesConfig) -> ListAttributes:
    """The values of `lists.attributes` that make groups."""
    by_value, weights = groups(lists, common=config.common), item_weights(lists, popularity=config.popularity)
    return ListAttributes(by_value.members, weights=weights, kinds=by_value.kinds, config=config)
