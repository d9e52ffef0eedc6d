"""Sources whose score is an inner product: a vector for the history, a vector for each item."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.history import History, Rows
from recsys.indexes.build import IndexConfig, build, restore, suited
from recsys.indexes.exact import ExactConfig, ExactIndex
from recsys.indexes.index import Index, read_only
from recsys.retrieval.explanation import Explanation, leave_one_out
from recsys.retrieval.source import Candidates, Query, Scores, StoredSource
from recsys.retrieval.truncation import Truncation

QUERIES_PER_BLOCK = 256
"""Queries answered at once: bounds the flags of allowed rows in memory."""

INDEX_PREFIX = "index."
"""Before the names of the arrays that an index has in its source's part."""


class DenseSource(StoredSource):
    """`vectors` (items, dim) of the catalogue, `known` marks rows that have one; subclasses encode the history.

    `index` finds among these vectors; without it one is built when it is first needed. A history's vector is kept from the
    search for candidates to their scores, or, where it `caches_queries`, as long as the history itself: that of a stored user
    until something new happens to them.
    """

    caches_queries: ClassVar[bool] = False

    def __init__(self, vectors: NDArray[np.float32], *, known: NDArray[np.bool_], index: Index | None = None) -> None:
        if index is not None:
            self.index = index
        self.vectors, self.known = (
            (read_only(vectors), read_only(known)) if index is None else (index.vectors, index.known)
        )
        self._encoded: WeakKeyDictionary[History, NDArray[np.float32] | None] = WeakKeyDictionary()

    @cached_property
    def index(self) -> Index:
        """Exact for all but large catalogues, where it takes long to build: scores need none."""
        return build(self.target_index, self.vectors, known=self.known)

    @property
    def target_index(self) -> IndexConfig:
        """The index that would be built of so many vectors now."""
        return suited(len(self.known))

    def indexes(self) -> "Mapping[Truncation | None, DenseSource]":
        return {None: self}

    @abstractmethod
    def encode(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """History vectors (histories, dim) of non-empty histories of known rows."""

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """The `k` largest inner products among allowed rows; nothing for a history without a known item."""
        rows = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        for start in range(0, len(queries), QUERIES_PER_BLOCK):
            block = queries[start : start + QUERIES_PER_BLOCK]
            indexes, vectors = self._history_vectors(block)
            allowed = [_as_long(block[index].allowed, len(self.vectors)) for index in indexes]
            rows[start + indexes], scores[start + indexes] = self.index.search(vectors, k=k, allowed=allowed)
        return Candidates(rows, scores)

    def with_index(self, truncation: Truncation | None, index: Index) -> Self:  # noqa: ARG002  (there is one)
        """The same over another index of the same vectors; histories keep theirs."""
        other = copy(self)
        other.index, other.vectors, other.known = index, index.vectors, index.known
        return other

    def exact(self) -> Self:
        return self.with_index(None, ExactIndex(ExactConfig(), self.vectors, known=self.known))

    def _forgetful(self) -> Self:
        """A copy that encodes every history anew."""
        other = copy(self)
        other._encoded = WeakKeyDictionary()
        return other

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """Inner products with `rows`; NaN on unknown items and for histories without a known one."""
        out = np.full(rows.shape, np.nan, dtype=np.float32)
        inside = (rows >= 0) & (rows < len(self.known))
        inside[inside] = self.known[rows[inside]]
        many = 4 * rows.shape[1] > len(self.vectors)  # then all products at once cost less than gathering their vectors
        for start in range(0, len(queries), QUERIES_PER_BLOCK):
            indexes, vectors = self._history_vectors(queries[start : start + QUERIES_PER_BLOCK])
            products = vectors @ self.vectors.T if many else None
            for i, (index, vector) in enumerate(zip(start + indexes, vectors, strict=True)):
                real = inside[index]
                known = rows[index, real]
                out[index, real] = self.vectors[known] @ vector if products is None else products[i, known]
        return out

    def _history_vectors(self, queries: Sequence[Query]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(indexes of the queries that can be encoded, their vectors)."""
        histories, cache = [query.history for query in queries if query.vector is None], self._encoded
        encoded = {history: cache[history] for history in histories if history in cache}
        if new := [history for history in histories if history not in encoded]:
            encoded |= self._encode_histories(new)
            if self.caches_queries:
                cache.update(encoded)
            else:
                self._encoded = WeakKeyDictionary(encoded)
        vectors = [encoded[query.history] if query.vector is None else query.vector for query in queries]
        indexes = np.array([i for i, vector in enumerate(vectors) if vector is not None], dtype=np.int64)
        known = [vector for vector in vectors if vector is not None]
        return indexes, np.stack(known) if known else np.empty((0, self.vectors.shape[1]), dtype=np.float32)

    def _encode_histories(self, histories: Sequence[History]) -> dict[History, NDArray[np.float32] | None]:
        """The vector of each history; None where it has no known item."""
        usable = [history.select(self._is_usable(history.rows)) for history in histories]
        vectors: dict[History, NDArray[np.float32] | None] = dict.fromkeys(histories)
        if known := [i for i, history in enumerate(usable) if len(history)]:
            encoded = self.encode([usable[i] for i in known])
            vectors |= {histories[i]: vector.copy() for i, vector in zip(known, encoded, strict=True)}
        return vectors

    def explain(self, query: Query, rows: Rows) -> list[Explanation]:
        usable = query.history.select(self._is_usable(query.history.rows))
        return leave_one_out(self, replace(query, history=usable), rows)

    def _is_usable(self, rows: Rows) -> NDArray[np.bool_]:
        """Which of `rows` have a vector."""
        inside = rows < len(self.known)
        inside[inside] = self.known[rows[inside]]
        return inside


def _as_long(flags: NDArray[np.bool_], rows: int) -> NDArray[np.bool_]:
    """`flags` of so many rows: a source and a catalogue may be ahead of each other."""
    return flags[:rows] if len(flags) >= rows else np.pad(flags, (0, rows - len(flags)))


def index_arrays(index: Index) -> dict[str, NDArray[Any]]:
    """What `index` adds to the arrays of its source's part: nothing if exact, a graph that takes long to build otherwise."""
    arrays = index.part("index").arrays.items()
    return {INDEX_PREFIX + name: array for name, array in arrays if name not in ("vectors", "known")}


def stored_index(part: Part) -> Index | None:
    """The index that was stored with its source in `part`; None where it is built anew.

    Raises:
        BundleError: it does not fit the part's vectors.
    """
    arrays = {
        name.removeprefix(INDEX_PREFIX): array for name, array in part.arrays.items() if name.startswith(INDEX_PREFIX)
    }
    if not arrays:
        return None
    arrays |= {"vectors": part.arrays["item_vectors"], "known": part.arrays["known"]}
    return restore(Part(name=f"{part.name}/index", kind="hnsw", config={}, arrays=arrays))
