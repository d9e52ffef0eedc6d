"""Sources whose score is an inner product: a vector for the history, a vector for each item."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import Rows
from recsys.retrieval.source import Candidates, Query, Scores, top

BLOCK = 256
"""Queries answered at once: bounds the dense scores in memory."""


class InnerProductSource(ABC):
    """`vectors` (items, dim) of the catalogue, `known` marks rows that have one; subclasses encode the history."""

    def __init__(self, vectors: NDArray[np.float32], *, known: NDArray[np.bool_]) -> None:
        self.vectors, self.known = vectors, known

    @abstractmethod
    def encode(self, histories: Sequence[Rows]) -> NDArray[np.float32]:
        """History vectors (histories, dim) of non-empty histories of known rows."""

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """The `k` largest inner products among allowed rows; nothing for a history without a known item."""
        rows = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        for start in range(0, len(queries), BLOCK):
            block = queries[start : start + BLOCK]
            asked, vectors = self._history_vectors(block)
            if not len(asked):
                continue
            allowed = np.zeros((len(asked), len(self.vectors)), dtype=np.bool_)
            for i, index in enumerate(asked):
                flags = block[index].allowed[: len(self.vectors)]
                allowed[i, : len(flags)] = flags & self.known[: len(flags)]
            found = top(np.where(allowed, vectors @ self.vectors.T, -np.inf), k=k)
            width = found.rows.shape[1]
            rows[start + asked, :width], scores[start + asked, :width] = found.rows, found.scores
        return Candidates(rows, scores)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """Inner products with `rows`; NaN on unknown items and for histories without a known one."""
        out = np.full(rows.shape, np.nan, dtype=np.float32)
        inside = (rows >= 0) & (rows < len(self.known))
        inside[inside] = self.known[rows[inside]]
        for start in range(0, len(queries), BLOCK):
            asked, vectors = self._history_vectors(queries[start : start + BLOCK])
            for index, vector in zip(start + asked, vectors, strict=True):
                real = inside[index]
                out[index, real] = self.vectors[rows[index, real]] @ vector
        return out

    def _history_vectors(self, queries: Sequence[Query]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(indexes of the queries that can be encoded, their vectors)."""
        histories = [self._usable(query.history.rows) for query in queries]
        asked = np.array([i for i, rows in enumerate(histories) if len(rows)], dtype=np.int64)
        if not len(asked):
            return asked, np.empty((0, self.vectors.shape[1]), dtype=np.float32)
        return asked, self.encode([histories[i] for i in asked])

    def _usable(self, rows: Rows) -> Rows:
        rows = rows[rows < len(self.known)]
        return rows[self.known[rows]]


def grown(
    vectors: NDArray[np.float32], known: NDArray[np.bool_], rows: Rows, new: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Copies of both with `new` vectors at `rows`, which may lie beyond the end."""
    size = max(len(vectors), int(rows.max(initial=-1)) + 1)
    more, marks = np.zeros((size, vectors.shape[1]), dtype=np.float32), np.zeros(size, dtype=np.bool_)
    more[: len(vectors)], marks[: len(known)] = vectors, known
    more[rows], marks[rows] = new, True
    return more, marks
