"""More of the same: items that share an attribute value (artist, album, brand) with the items of a list, or whose value its
name spells out. Reaches items that no list holds yet."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.playlists import Playlists
from recsys.errors import within
from recsys.retrieval.lists.names import encoded
from recsys.retrieval.lists.sparse import ListQuery, SparseSource, bags
from recsys.retrieval.source import Query

LONGEST = 100
"""Characters of a value that can name a group; longer ones are prose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAttributesConfig:
    """A value is a group where it stands at 2 items and at most at the share `common` of them. An item counts with the
    logarithm of its occurrences, to `popularity`. A name speaks of a value from the cosine `named` on."""

    common: float = 0.05
    popularity: float = 1.0
    named: float = 0.5

    def __post_init__(self) -> None:
        within(self, common=(0, 1), popularity=(0, inf), named=(0, 1))


class ListAttributes(SparseSource):
    """`groups` (items, values) is 1 where an item has a value, `weights` (items,) how much an item counts, `named`
    (values, dim) the values as names of lists are read."""

    def __init__(
        self,
        groups: sp.csr_matrix,
        *,
        weights: NDArray[np.float32],
        named: NDArray[np.float32],
        config: ListAttributesConfig,
    ) -> None:
        self.groups, self.weights, self.named, self.config = groups, weights, named, config
        self.known = np.diff(groups.indptr) > 0
        self._ones = self.known.astype(np.float32)
        self._says = sp.csr_matrix(groups.T @ sp.diags_array(weights)).astype(np.float32)

    def opinions(self, queries: Sequence[Query]) -> sp.csr_matrix:
        """By the share of a list's items that have a value; for an empty list, by the values that its name spells out."""
        held = bags(queries, self._ones)
        sizes = np.diff(held.indptr)
        shares = sp.csr_matrix(sp.diags_array(1 / np.maximum(sizes, 1)) @ held @ self.groups)
        names = [
            q.name if isinstance(q, ListQuery) and not size else None for q, size in zip(queries, sizes, strict=True)
        ]
        if any(names):
            spelt = encoded(names) @ self.named.T
            shares = shares + sp.csr_matrix(np.where(spelt >= self.config.named, spelt**4, 0).astype(np.float32))
        return sp.csr_matrix(shares @ self._says)

    def part(self, name: str) -> Part:
        arrays = {
            "indices": self.groups.indices.astype(np.int32),
            "indptr": self.groups.indptr.astype(np.int64),
            "weights": self.weights,
            "named": self.named,
        }
        return Part(name=name, kind="list-attributes", config=asdict(self.config), arrays=arrays)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a = part.arrays
        ones = np.ones(len(a["indices"]), dtype=np.float32)
        groups = sp.csr_matrix((ones, a["indices"], a["indptr"]), shape=(len(a["weights"]), len(a["named"])))
        return cls(groups, weights=a["weights"], named=a["named"], config=ListAttributesConfig(**part.config))


def fit_list_attributes(lists: Playlists, config: ListAttributesConfig) -> ListAttributes:
    """The values of `lists.attributes`, texts and lists of texts, that make groups."""
    values = [_values(attributes) for attributes in lists.attributes] or [()] * lists.data.items
    counts = Counter(value for held in values for value in held)
    most = max(2.0, config.common * len(values))
    place = {value: i for i, value in enumerate(v for v, count in counts.items() if 2 <= count <= most)}
    held = [[place[value] for value in one if value in place] for one in values]
    columns = np.array([column for one in held for column in one], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum([len(one) for one in held])])
    ones = np.ones(len(columns), dtype=np.float32)
    groups = sp.csr_matrix((ones, columns, starts), shape=(len(values), len(place)))
    weights = np.log1p(lists.data.counts() + 0.5) ** config.popularity
    named = encoded([text for _, text in place])
    return ListAttributes(groups, weights=weights.astype(np.float32), named=named, config=config)


def _values(attributes: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """(attribute, text) pairs, each once."""
    pairs = [(key, one) for key, value in attributes.items() for one in (value if isinstance(value, list) else [value])]
    texts = {(key, one) for key, one in pairs if isinstance(one, str) and 0 < len(one) <= LONGEST}
    return tuple(sorted(texts))
