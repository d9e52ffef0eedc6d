"""What the name of a list says about its items: lists of similar names, entities in the name, and feedback from both.

The share of similar lists that hold an item estimates its probability, smoothed by that of all lists. Where a name contains an
artist, a brand or an album, its items come first. The best items are then taken for a list, and what its neighbour lists hold is
added: pseudo-relevance feedback, as in the relevance models of Lavrenko and Croft (SIGIR 2001).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.history import Rows
from recsys.errors import check_ranges
from recsys.retrieval.explanation import Explanation
from recsys.retrieval.lists.entity_names import EntityNameSource
from recsys.retrieval.lists.name_neighbours import NameNeighbours
from recsys.retrieval.lists.neighbours import ListNeighboursConfig, list_neighbours
from recsys.retrieval.lists.sparse import SparseSource
from recsys.retrieval.source import Query

FEEDBACK_NEIGHBOURS = ListNeighboursConfig(lists=200, power=3.0, rarity=0.5)
"""The neighbour lists of the best items."""
PER_MILLE = 1000
"""Scores are log(1 + 1000 p). Without the log an exact artist match is an outlier that drives the fusion's weight for names to
zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameBlendConfig:
    """`backoff` is the weight of the share of all lists beside that of similar ones, `spelt` that of entities in the name, and
    `spread` that of the neighbour lists of the `first` best items."""

    backoff: float = 0.3
    spelt: float = 1.0
    spread: float = 0.2
    first: int = 20

    def __post_init__(self) -> None:
        check_ranges(self, backoff=(0, 1e6), spelt=(0, 1e6), spread=(0, 1e6), first=(1, inf))


class NameBlend(SparseSource):
    """The scores of `names`, `entities` and the neighbour lists of what both find, added up, as logarithms."""

    kind = "list-named"

    def __init__(self, names: NameNeighbours, entities: EntityNameSource, config: NameBlendConfig) -> None:
        self.names, self.entities, self.config = names, entities, config
        self.known = names.known | entities.known
        self._feedback = list_neighbours(names.members, FEEDBACK_NEIGHBOURS)
        self._all = (names.shares @ names.members / max(float(names.shares.sum()), 1e-9)).astype(np.float32)

    def explain(self, query: Query, rows: Rows) -> list[Explanation]:  # noqa: ARG002  (no item of the list counts)
        return [() for _ in rows]

    def sparse_scores(self, queries: Sequence[Query]) -> sp.csr_matrix:
        """By the names of the queries; none for one without a name."""
        similar = self.names.sparse_scores(queries)
        candidates = similar.copy()
        candidates.data[:] = 1  # an item of no similar list is popular at best, which another source says
        backoff = candidates @ sp.diags_array(self.config.backoff * self._all)
        total = sp.csr_matrix(similar + backoff + self.config.spelt * self.entities.sparse_scores(queries))
        neighbours = self._feedback.neighbours(_best(total, self._feedback.weights, count=self.config.first))
        total = sp.csr_matrix(total + self.config.spread * self.names.item_shares(neighbours))
        total.data = np.log1p(PER_MILLE * total.data).astype(np.float32)
        return total

    def part(self, name: str) -> Part:
        """The settings alone: `names` and `entities` are parts of their own."""
        return Part(name=name, kind=self.kind, config=asdict(self.config), arrays={})

    @classmethod
    def from_parts(cls, part: Part, restored: Mapping[str, Any]) -> Self:
        """Over the parts of kind `list-names` and `list-spelt` in `restored`."""
        return cls(restored[NameNeighbours.kind], restored[EntityNameSource.kind], NameBlendConfig(**part.config))


def _best(scores: sp.csr_matrix, weights: NDArray[np.float32], *, count: int) -> sp.csr_matrix:
    """(queries, items): the `weights` (items,) of the `count` items of each row with the best scores."""
    rows, columns = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for i in range(scores.shape[0]):
        span = slice(scores.indptr[i], scores.indptr[i + 1])
        best = scores.indices[span][np.argsort(-scores.data[span], kind="stable")[:count]].astype(np.int64)
        rows.append(np.full(len(best), i))
        columns.append(best)
    items = np.concatenate(columns)
    return sp.csr_matrix((weights[items], (np.concatenate(rows), items)), shape=scores.shape)
