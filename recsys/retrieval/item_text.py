"""Items near each other, or near a text, by the catalogue's own text encoder: at any size that it offers.

Vectors after different layers are different spaces: each size has its own index, whose space says so, and a question is
encoded for the space in which it is answered.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.history import Rows
from recsys.encoders.normalize import l2_normalize
from recsys.indexes.build import IndexConfig, Kind, suited
from recsys.indexes.cache import build_or_load
from recsys.indexes.exact import ExactConfig
from recsys.indexes.funnel import FunnelConfig
from recsys.indexes.hnsw import HnswConfig
from recsys.indexes.index import Index
from recsys.indexes.ivf_pq import IvfPqConfig
from recsys.indexes.space import Space
from recsys.retrieval.dense import DenseSource
from recsys.retrieval.source import Candidates, Query, Scores
from recsys.retrieval.text import recent_mean
from recsys.retrieval.truncation import Truncation, Truncations, truncations_of

DECAY, WINDOW = 0.7, 20
"""How much less each older item of a history counts, and how many count."""

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class SpacedVectors:
    """Vectors (texts, dim) with the space that they are of."""

    space: Space
    vectors: Vectors


class SizedSource(DenseSource):
    """The source at one size; `suited` says which index suits so many rows of it."""

    def __init__(self, space: Space, index: Index, *, suited: Callable[[int], IndexConfig]) -> None:
        super().__init__(index.vectors, known=index.known, index=index)
        self.space, self._suited = space, suited

    @property
    def suits(self) -> IndexConfig:
        return self._suited(len(self.known))

    def with_rows(self, rows: Rows, vectors: Vectors) -> "SizedSource":
        """The same with `vectors` (rows, dims) at `rows`."""
        return SizedSource(self.space, self.index.with_rows(rows, vectors), suited=self._suited)

    def encode(self, histories: Sequence[Rows]) -> Vectors:
        return l2_normalize(recent_mean(self.vectors, histories, decay=DECAY, window=WINDOW))

    def of_texts(self, asked: SpacedVectors) -> Vectors:
        """Vectors that `Query.vector` takes.

        Raises:
            BundleError: they are of another space.
        """
        self.space.must_be(asked.space, what="the question")
        return asked.vectors


class ItemTextSource:
    """All sizes over the same items. Answers at the whole encoder's unless `at` is asked for another."""

    def __init__(self, part: Part, sized: Mapping[Truncation, SizedSource]) -> None:
        self.encoder, self.text_encoder, self.sizes = part.hash, part.name, truncations_of(part)
        self._part, self._sized = part, dict(sized)

    def at(self, size: Truncation) -> SizedSource:
        """The source at a size that is served."""
        return self._sized[size]

    def space(self, size: Truncation) -> Space:
        return self._sized[size].space

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        return self.at(self.sizes.whole).search(queries, k=k)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        return self.at(self.sizes.whole).score(queries, rows)

    def with_exits(self, rows: Rows, exits: Mapping[int, Vectors]) -> "ItemTextSource":
        """A source that also knows `rows` by the vectors of their texts after each exit, whole ones (rows, dim)."""
        grown = {
            size: source.with_rows(rows, l2_normalize(exits[size.layers][:, : size.dims]))
            for size, source in self._sized.items()
        }
        return ItemTextSource(self._part, grown)

    def with_index(self, size: Truncation, index: Index) -> "ItemTextSource":
        """The same with another index of the same vectors at `size`."""
        return ItemTextSource(self._part, self._sized | {size: self._sized[size].with_index(index)})


def over_items(
    part: Part, exits: Mapping[int, Vectors], *, known: NDArray[np.bool_], kind: Kind = "auto", kept: Path | None = None
) -> ItemTextSource:
    """The source of the encoder `part` over catalogue rows, with their whole vectors (rows, dim) after each exit.

    `kind` is that of the index of each size, `kept` the folder where those that take long to build outlive this process.
    """
    sizes, sized = truncations_of(part), dict[Truncation, SizedSource]()
    for size in sizes.served:
        vectors = l2_normalize(exits[size.layers][:, : size.dims])
        config = partial(suited_size, size, sizes, kind=kind)
        space = Space(encoder=part.hash, layers=size.layers, dims=size.dims)
        index = build_or_load(config(len(vectors)), vectors, known=known, space=space, folder=kept, name=part.name)
        sized[size] = SizedSource(space, index, suited=config)
    return ItemTextSource(part, sized)


def empty(part: Part) -> ItemTextSource:
    """The source of the encoder `part` before it is given items."""
    none = np.empty((0, part.config["encoder"]["dim"]), dtype=np.float32)
    exits = {size.layers: none for size in truncations_of(part).served}
    return over_items(part, exits, known=np.empty(0, dtype=np.bool_))


def suited_size(size: Truncation, sizes: Truncations, rows: int, *, kind: Kind = "auto") -> IndexConfig:
    """The index of `size` over so many rows where `kind` is asked for.

    `auto`: exact while that is quick; beyond, a funnel, or a graph where an exit has one size alone. A funnel goes through the
    next narrower size served of the same exit; the narrowest, which has none, is compared exactly.
    """
    same = [one.dims for one in sizes.served if one.layers == size.layers]
    narrower = [dims for dims in same if dims < size.dims]
    match kind:
        case "auto" if len(same) == 1 or suited(rows) == ExactConfig():
            return suited(rows)
        case "auto" | "funnel":
            return FunnelConfig(dims=max(narrower)) if narrower else ExactConfig()
        case "exact":
            return ExactConfig()
        case "hnsw":
            return HnswConfig()
        case "ivf-pq":
            return IvfPqConfig()
    assert_never(kind)
