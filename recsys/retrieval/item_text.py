"""Items near each other, or near a text, by the catalogue's own text encoder: at any size that it offers.

Vectors after different layers are different spaces: each exit has its own index, whose space says so, and a question is
encoded for the space in which it is answered. Narrower sizes are cut from the widest of their exit when first asked for.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.history import Rows
from recsys.data.units import unit
from recsys.indexes.approximate import HnswConfig
from recsys.indexes.build import EXACT_ROWS, IndexConfig, Kind, build, suited
from recsys.indexes.exact import ExactConfig
from recsys.indexes.funnel import FunnelConfig
from recsys.indexes.index import Index
from recsys.indexes.quantised import IvfPqConfig
from recsys.indexes.space import Space
from recsys.retrieval.inner import InnerProductSource
from recsys.retrieval.sizes import Size, Sizes, sizes_of
from recsys.retrieval.source import Candidates, Query, Scores
from recsys.retrieval.text import recent_mean

DECAY, WINDOW = 0.7, 20
"""How much less each older item of a history counts, and how many count."""

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class SpacedVectors:
    """Vectors (texts, dim) with the space that they are of."""

    space: Space
    vectors: Vectors


class SizedSource(InnerProductSource):
    """The source at one size."""

    def __init__(self, space: Space, index: Index) -> None:
        super().__init__(index.vectors, known=index.known, index=index)
        self.space = space

    def encode(self, histories: Sequence[Rows]) -> Vectors:
        return unit(recent_mean(self.vectors, histories, decay=DECAY, window=WINDOW))

    def of_texts(self, asked: SpacedVectors) -> Vectors:
        """Vectors that `Query.vector` takes.

        Raises:
            BundleError: they are of another space.
        """
        self.space.must_be(asked.space, what="the question")
        return asked.vectors


class ItemTextSource:
    """All sizes over the same items. Answers at the whole encoder's unless `at` is asked for another."""

    def __init__(self, part: Part, widest: Mapping[int, Index], *, kind: Kind = "auto") -> None:
        self.encoder, self.text_encoder, self.sizes = part.hash, part.name, sizes_of(part)
        self._part, self._widest, self._kind = part, dict(widest), kind
        self._made: dict[Size, SizedSource] = {}
        self._making = threading.Lock()

    def at(self, size: Size) -> SizedSource:
        """The source at a size that is served."""
        with self._making:
            if size not in self._made:
                self._made[size] = SizedSource(self.space(size), self._index(size))
            return self._made[size]

    def space(self, size: Size) -> Space:
        return Space(encoder=self.encoder, layers=size.layers, dims=size.dims)

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        return self.at(self.sizes.whole).search(queries, k=k)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        return self.at(self.sizes.whole).score(queries, rows)

    def with_exits(self, rows: Rows, exits: Mapping[int, Vectors]) -> "ItemTextSource":
        """A source that also knows `rows` by the vectors of their texts after each exit, whole ones (rows, dim)."""
        grown = {
            layers: index.with_rows(rows, unit(exits[layers][:, : index.vectors.shape[1]]))
            for layers, index in self._widest.items()
        }
        more = ItemTextSource(self._part, grown, kind=self._kind)
        with self._making:
            made = list(self._made.items())
        for size, source in made:
            if size.dims < grown[size.layers].vectors.shape[1]:
                index = source.index.with_rows(rows, unit(exits[size.layers][:, : size.dims]))
                more._made[size] = SizedSource(source.space, index)
        return more

    def _index(self, size: Size) -> Index:
        widest = self._widest[size.layers]
        if size.dims == widest.vectors.shape[1]:
            return widest
        shorter = unit(widest.vectors[:, : size.dims])
        return build(suited_size(size, self.sizes, rows=len(shorter), kind=self._kind), shorter, known=widest.known)


def over_items(
    part: Part, exits: Mapping[int, Vectors], *, known: NDArray[np.bool_], kind: Kind = "auto"
) -> ItemTextSource:
    """The source of the encoder `part` over catalogue rows, with their whole vectors (rows, dim) after each exit.

    `kind` is that of the index of each size.
    """
    sizes = sizes_of(part)
    widest: dict[int, Index] = {}
    for size in sizes.served:  # narrow ones first
        if size.dims == max(other.dims for other in sizes.served if other.layers == size.layers):
            vectors = unit(exits[size.layers][:, : size.dims])
            widest[size.layers] = build(suited_size(size, sizes, rows=len(vectors), kind=kind), vectors, known=known)
    return ItemTextSource(part, widest, kind=kind)


def empty(part: Part) -> ItemTextSource:
    """The source of the encoder `part` before it is given items."""
    none = np.empty((0, part.config["encoder"]["dim"]), dtype=np.float32)
    exits = {size.layers: none for size in sizes_of(part).served}
    return over_items(part, exits, known=np.empty(0, dtype=np.bool_))


def suited_size(size: Size, sizes: Sizes, *, rows: int, kind: Kind = "auto") -> IndexConfig:
    """The index of `size` over so many rows where `kind` is asked for.

    `auto`: exact while that is quick; beyond, a funnel, else a graph. A funnel goes through the next narrower size served of the
    same exit; the narrowest, which has none, is compared exactly where a funnel is asked for.
    """
    narrower = [one.dims for one in sizes.served if one.layers == size.layers and one.dims < size.dims]
    match kind:
        case "auto":
            return FunnelConfig(dims=max(narrower)) if narrower and rows > EXACT_ROWS else suited(rows)
        case "exact":
            return ExactConfig()
        case "funnel":
            return FunnelConfig(dims=max(narrower)) if narrower else ExactConfig()
        case "hnsw":
            return HnswConfig()
        case "ivf-pq":
            return IvfPqConfig()
    assert_never(kind)
