"""What a name says of the items of its list: what lists of like names hold, and before it what the name spells out.

The share of like lists that hold an item is an estimate of its chance, mixed with that of all lists. Where a name spells out
an artist, a brand, an album, nothing says more: its items come first. What comes first is then taken for a list, and what lists
near to it hold is added: feedback from what was found, as in the relevance models of Lavrenko and Croft (SIGIR 2001).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.errors import check_ranges
from recsys.retrieval.lists.entity_names import EntityNameSource
from recsys.retrieval.lists.name_neighbours import NameNeighbours
from recsys.retrieval.lists.neighbours import ListNeighboursConfig, list_neighbours
from recsys.retrieval.lists.sparse import SparseSource
from recsys.retrieval.source import Query

NEAR = ListNeighboursConfig(lists=200, power=3.0, rarity=0.5)
"""Which lists are near to what was found."""
PER_MILLE = 1000
"""Chances are told as logarithms from a thousandth on: as they are, few items of a name that is spelt out would stand so far
above all others that a fusion could trust no name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameBlendConfig:
    """`backoff` is what the share of all lists counts beside that of like ones, `spelt` what is spelt out, and `spread` the
    share of the lists that are near to the `first` items found."""

    backoff: float = 0.3
    spelt: float = 1.0
    spread: float = 0.2
    first: int = 20

    def __post_init__(self) -> None:
        check_ranges(self, backoff=(0, inf), spelt=(0, inf), spread=(0, inf), first=(1, inf))


class NameBlend(SparseSource):
    """`names`, `spelt` and the lists near to what both find, added up, as logarithms."""

    def __init__(self, names: NameNeighbours, spelt: EntityNameSource, config: NameBlendConfig) -> None:
        self.names, self.spelt, self.config = names, spelt, config
        self.known = names.known | spelt.known
        self._near = list_neighbours(names.held, NEAR)
        self._all = (names.shares @ names.held / max(float(names.shares.sum()), 1e-9)).astype(np.float32)

    def sparse_scores(self, queries: Sequence[Query]) -> sp.csr_matrix:
        """By the names of the queries; none for one without a name."""
        like = self.names.sparse_scores(queries)
        some = like.copy()
        some.data[:] = 1  # an item of no like list is popular at best, which another source says
        backoff = some @ sp.diags_array(self.config.backoff * self._all)
        total = sp.csr_matrix(like + backoff + self.config.spelt * self.spelt.sparse_scores(queries))
        near = self._near.near(_first(total, self._near.weights, count=self.config.first))
        total = sp.csr_matrix(total + self.config.spread * self.names.shared(near))
        total.data = np.log1p(PER_MILLE * total.data).astype(np.float32)
        return total

    def part(self, name: str) -> Part:
        """The settings alone: `names` and `spelt` are parts of their own."""
        return Part(name=name, kind="list-named", config=asdict(self.config), arrays={})

    @classmethod
    def from_part(cls, part: Part, *, names: NameNeighbours, spelt: EntityNameSource) -> Self:
        return cls(names, spelt, NameBlendConfig(**part.config))


def _first(scores: sp.csr_matrix, weights: NDArray[np.float32], *, count: int) -> sp.csr_matrix:
    """(queries, items): the `weights` (items,) of the `count` items of each row with the best scores."""
    rows, columns = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for i in range(scores.shape[0]):
        span = slice(scores.indptr[i], scores.indptr[i + 1])
        found = scores.indices[span][np.argsort(-scores.data[span], kind="stable")[:count]].astype(np.int64)
        rows.append(np.full(len(found), i))
        columns.append(found)
    held = np.concatenate(columns)
    return sp.csr_matrix((weights[held], (np.concatenate(rows), held)), shape=scores.shape)
