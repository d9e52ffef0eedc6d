"""Text neighbours: items whose text is like that of the latest ones. Needs no training, so a new item counts at once."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.history import History, Rows
from recsys.encoders.base import TextEncoder, Vectors
from recsys.errors import check_ranges
from recsys.indexes.index import Index
from recsys.retrieval.dense import DenseSource, index_arrays, stored_index
from recsys.retrieval.explanation import Explanation, nearest
from recsys.retrieval.search_space import DECAY, Axis, Catalogue, SearchSpace
from recsys.retrieval.source import Query
from recsys.retrieval.stored_arrays import check_shapes


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """`shrink` damps the whitening: 0 makes all directions equally long, a large one only centres the vectors. Without
    `whitening` they are as the encoder gives them."""

    text_encoder: str
    whitening: bool = True
    shrink: float = 1.0
    decay: float = 0.7
    window: int = 20

    def __post_init__(self) -> None:
        check_ranges(self, shrink=(0, inf), window=(1, inf), decay=(0, 1))


class TextSource(DenseSource):
    """Cosine between an item and the recency-weighted mean of the history, in a whitened text space."""

    kind = "text"

    def __init__(
        self,
        vectors: NDArray[np.float32],
        *,
        known: NDArray[np.bool_],
        mean: NDArray[np.float32],
        whiten: NDArray[np.float32],
        config: dict[str, Any],
        index: Index | None = None,
    ) -> None:
        super().__init__(vectors, known=known, index=index)
        self.mean, self.whiten, self.config = mean, whiten, config

    @property
    def text_encoder(self) -> str:
        return str(self.config["text_encoder"])

    def with_query_time(self, **settings: float) -> Self:
        other = self._forgetful()
        other.config = self.config | settings
        return other

    def encode(self, histories: Sequence[History]) -> NDArray[np.float32]:
        rows = [history.rows for history in histories]
        mean = recent_mean(self.vectors, rows, decay=self.config["decay"], window=self.config["window"])
        return _unit(mean)

    @property
    def item_text_vectors(self) -> Vectors:
        return self.vectors

    def whitened(self, text: Vectors) -> Vectors:
        """Unit vectors (texts, dim) of the encoder's (texts, text_dim), as `Query.vector` takes them."""
        return _unit((text - self.mean) @ self.whiten)

    def query_vectors(self, encoder: TextEncoder, texts: Sequence[str], domains: Sequence[str | None]) -> Vectors:
        return self.whitened(encoder.encode_queries(texts, domains=domains))

    def explain(self, query: Query, rows: Rows) -> list[Explanation]:
        """By the nearest of the items that make the vector of the history."""
        usable = query.history.rows[self._is_usable(query.history.rows)]
        return nearest(self.vectors, usable[-self.config["window"] :], rows)

    def with_items(self, rows: Rows, text: NDArray[np.float32]) -> Self:
        return self._over(self.index.with_rows(rows, self.whitened(text)))

    def without_texts(self, rows: Rows) -> Self:
        zeros = np.zeros((len(rows), self.vectors.shape[1]), dtype=np.float32)
        return self._over(self.index.with_rows(rows, zeros).without(rows))

    def _over(self, index: Index) -> Self:
        return type(self)(
            index.vectors, known=index.known, mean=self.mean, whiten=self.whiten, config=self.config, index=index
        )

    def part(self, name: str) -> Part:
        arrays = {"item_vectors": self.vectors, "known": self.known, "mean": self.mean, "whiten": self.whiten}
        return Part(name=name, kind=self.kind, config=self.config, arrays=arrays | index_arrays(self.index))

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a = part.arrays
        dim = a["item_vectors"].shape[1]
        check_shapes(a, whiten=(len(a["mean"]), dim), mean=(len(a["mean"]),))
        return cls(
            a["item_vectors"],
            known=a["known"],
            mean=a["mean"],
            whiten=a["whiten"],
            config=part.config,
            index=stored_index(part),
        )


def search_space(catalogue: Catalogue) -> SearchSpace:
    """The settings that are tried: how strongly whitened first, then not at all."""
    shrink = Axis("shrink", (0.1, 1.0), "log", low=1e-4, high=1e4)
    whitening = Axis("whitening", (False, True))
    return SearchSpace(TextConfig(text_encoder=catalogue.text_encoder), (shrink, whitening, DECAY))


def recent_mean(
    vectors: NDArray[np.float32], histories: Sequence[Rows], *, decay: float, window: int
) -> NDArray[np.float32]:
    """Means (histories, dim) of the last `window` items of each history, where each older one counts `decay` times as much."""
    out = np.empty((len(histories), vectors.shape[1]), dtype=np.float32)
    for i, history in enumerate(histories):
        rows = history[-window:]
        out[i] = decay ** np.arange(len(rows))[::-1] @ vectors[rows]
    return out


def fit_text(text: NDArray[np.float32], config: TextConfig, *, known: NDArray[np.bool_] | None = None) -> TextSource:
    """Whitens the text vectors (items, text_dim) of the catalogue (ZCA with shrinkage), if asked to, and normalises them.

    `known` (items,) marks the items that have a text (default: all): the others have no neighbours.
    """
    mean, whiten = _whitening(text, config)
    known = np.ones(len(text), dtype=np.bool_) if known is None else known
    vectors = _unit((text - mean) @ whiten) * known[:, None]
    return TextSource(vectors, known=known, mean=mean, whiten=whiten, config=asdict(config))


def _whitening(text: Vectors, config: TextConfig) -> tuple[Vectors, Vectors]:
    """(mean (text_dim,), ZCA matrix (text_dim, text_dim)); what changes nothing where `config` has no whitening."""
    if not config.whitening:
        return np.zeros(text.shape[1], dtype=np.float32), np.eye(text.shape[1], dtype=np.float32)
    mean = text.mean(axis=0)
    values, basis = np.linalg.eigh(np.cov(text - mean, rowvar=False, bias=True))
    scale = 1 / np.sqrt(np.maximum(values, 0) + config.shrink * values.mean() + 1e-9)
    return mean, ((basis * scale) @ basis.T).astype(np.float32)


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)).astype(np.float32)
