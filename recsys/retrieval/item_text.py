"""Items near each other, or near a text, by the catalogue's own text encoder: at any truncation that it offers.

Vectors after different layers are different spaces: each truncation has its own index, whose space says so, and a query is
encoded for the space in which it is answered.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.history import History, Rows
from recsys.encoders.base import TextEncoder
from recsys.encoders.catalogue import truncate
from recsys.encoders.catalogue_parts import KIND, checked_config
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
from recsys.retrieval.explanation import Explanation, nearest
from recsys.retrieval.source import Candidates, Query, Scores, StoredSource
from recsys.retrieval.text import recent_mean
from recsys.retrieval.truncation import Truncation, Truncations, truncations_of

DECAY, WINDOW = 0.7, 20
"""How much less each older item of a history counts, and how many count."""

Vectors = NDArray[np.float32]


class TruncatedTextSource(DenseSource):
    """The source at one truncation; `suited` says which index suits so many rows of it."""

    kind = KIND

    def __init__(
        self, space: Space, index: Index, *, suited: Callable[[int], IndexConfig], truncation: Truncation
    ) -> None:
        super().__init__(index.vectors, known=index.known, index=index)
        self.space, self.truncation, self._suited = space, truncation, suited

    @property
    def target_index(self) -> IndexConfig:
        return self._suited(len(self.known))

    def with_rows(self, rows: Rows, vectors: Vectors) -> "TruncatedTextSource":
        """The same with `vectors` (rows, dims) at `rows`."""
        return self._over(self.index.with_rows(rows, vectors))

    def without(self, rows: Rows) -> "TruncatedTextSource":
        """The same without `rows`."""
        return self._over(self.index.without(rows))

    def _over(self, index: Index) -> "TruncatedTextSource":
        return TruncatedTextSource(self.space, index, suited=self._suited, truncation=self.truncation)

    def encode(self, histories: Sequence[History]) -> Vectors:
        return l2_normalize(
            recent_mean(self.vectors, [history.rows for history in histories], decay=DECAY, window=WINDOW)
        )

    def explain(self, query: Query, rows: Rows) -> list[Explanation]:
        """By the nearest of the items that make the vector of the history."""
        return nearest(self.vectors, query.history.rows[self._is_usable(query.history.rows)][-WINDOW:], rows)

    def query_vectors(self, encoder: TextEncoder, texts: Sequence[str], domains: Sequence[str | None]) -> Vectors:
        """Vectors of the texts, read by the encoder that has read the items.

        Raises:
            BundleError: it is another encoder.
        """
        layers, dims = self.truncation.layers, self.truncation.dims
        self.space.must_be(Space(encoder=encoder.hash, layers=layers, dims=dims), what="the question")
        return truncate(encoder.encode_queries(texts, domains=domains, layers=layers), dims)

    def part(self, name: str) -> Part:
        raise AssertionError(f"{name}: one truncation is no part, but the encoder with all of them")


class ItemTextSource(StoredSource):
    """All truncations over the same items. Answers at the whole encoder's unless `at` is asked for another."""

    kind = KIND

    def __init__(self, part: Part, truncated: Mapping[Truncation, TruncatedTextSource]) -> None:
        self._part, self._truncated = part, dict(truncated)
        self._truncations = truncations_of(part)

    @property
    def text_encoder(self) -> str:
        return self._part.name

    @property
    def truncations(self) -> Truncations:
        return self._truncations

    def at(self, truncation: Truncation | None) -> TruncatedTextSource:
        return self._truncated[truncation or self._truncations.whole]

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        return self.at(None).search(queries, k=k)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        return self.at(None).score(queries, rows)

    def explain(self, query: Query, rows: Rows) -> list[Explanation]:
        return self.at(None).explain(query, rows)

    def with_exits(self, rows: Rows, exits: Mapping[int, Vectors]) -> "ItemTextSource":
        """The source that also knows `rows` by whole vectors (rows, dim) of their texts after each exit."""
        extended = {
            at: source.with_rows(rows, l2_normalize(exits[at.layers][:, : at.dims]))
            for at, source in self._truncated.items()
        }
        return ItemTextSource(self._part, extended)

    def without_texts(self, rows: Rows) -> "ItemTextSource":
        return ItemTextSource(self._part, {at: source.without(rows) for at, source in self._truncated.items()})

    def with_catalogue(
        self, exits: Mapping[int, Vectors], *, known: NDArray[np.bool_], index: Kind, cache_dir: Path | None
    ) -> "ItemTextSource":
        return over_items(self._part, exits, known=known, kind=index, cache_dir=cache_dir)

    def indexes(self) -> Mapping[Truncation | None, DenseSource]:
        return {at: source for at, source in self._truncated.items()}  # noqa: C416  (a dict of other types)

    def with_index(self, truncation: Truncation | None, index: Index) -> "ItemTextSource":
        at = truncation or self._truncations.whole
        return ItemTextSource(self._part, self._truncated | {at: self._truncated[at].with_index(None, index)})

    def part(self, name: str) -> Part:
        return replace(self._part, name=name)


def over_items(
    part: Part,
    exits: Mapping[int, Vectors],
    *,
    known: NDArray[np.bool_],
    kind: Kind = "auto",
    cache_dir: Path | None = None,
) -> ItemTextSource:
    """The source of the encoder `part` over catalogue rows, with their whole vectors (rows, dim) after each exit.

    `kind` is that of the index of each truncation; indexes that take long to build are kept in the folder `cache_dir`.
    """
    truncations, truncated = truncations_of(part), dict[Truncation, TruncatedTextSource]()
    for at in truncations.served:
        vectors = l2_normalize(exits[at.layers][:, : at.dims])
        config = partial(suited_index, at, truncations, kind=kind)
        space = Space(encoder=part.hash, layers=at.layers, dims=at.dims)
        index = build_or_load(
            config(len(vectors)), vectors, known=known, space=space, cache_dir=cache_dir, name=part.name
        )
        truncated[at] = TruncatedTextSource(space, index, suited=config, truncation=at)
    return ItemTextSource(part, truncated)


def without_items(part: Part) -> ItemTextSource:
    """The source of the encoder `part` before it is given items.

    Raises:
        ConfigError: its weights do not fit its settings.
    """
    empty = np.empty((0, checked_config(part).dim), dtype=np.float32)
    exits = {at.layers: empty for at in truncations_of(part).served}
    return over_items(part, exits, known=np.empty(0, dtype=np.bool_))


def suited_index(at: Truncation, truncations: Truncations, rows: int, *, kind: Kind = "auto") -> IndexConfig:
    """The index of the truncation `at` over so many rows where `kind` is asked for.

    `auto`: exact while that is quick; beyond, a funnel, or a graph where an exit has one width alone. A funnel goes through the
    next narrower width served of the same exit; the narrowest, which has none, is compared exactly.
    """
    widths = [other.dims for other in truncations.served if other.layers == at.layers]
    narrower = [dims for dims in widths if dims < at.dims]
    match kind:
        case "auto" if len(widths) == 1 or suited(rows) == ExactConfig():
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
