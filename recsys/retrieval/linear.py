"""Sources that add up, over a history, what each of its items says about the others.

Markov chains, item neighbours and EASE are all one sparse item-item matrix and a weight for how long ago an event was;
they differ in how the matrix is fitted.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.retrieval.source import Candidates, Query, Scores, top

BLOCK = 256
"""Queries answered at once: bounds the dense scores in memory."""


class LinearSource:
    """Scores `w @ matrix`, with w the history's weights `decay ** age` over its last `window` events (age 0: the last).

    `matrix` (items, items) is what row i's item says about column j's; items beyond it are unknown and count nothing.
    `known` marks the columns that were trained on.
    """

    def __init__(
        self,
        matrix: sp.csr_matrix,
        *,
        known: NDArray[np.bool_],
        decay: float,
        window: int,
        config: dict[str, Any],
        figures: dict[str, Any] | None = None,
    ) -> None:
        self.matrix, self.known, self.decay, self.window = matrix, known, decay, window
        self.config, self.figures = config, figures or {}

    def reweighed(self, *, decay: float) -> "LinearSource":
        """The same matrix with histories weighed otherwise."""
        return LinearSource(
            self.matrix, known=self.known, decay=decay, window=self.window, config=self.config, figures=self.figures
        )

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """Rows that some event of the history points at, best first."""
        blocks = []
        for start in range(0, len(queries), BLOCK):
            block = queries[start : start + BLOCK]
            scores = self._dense(block, width=len(block[0].allowed))
            allowed = np.stack([query.allowed for query in block])
            found = top(np.where(allowed & (scores > 0), scores, -np.inf), k=k)
            blocks.append(found)
        return Candidates(np.concatenate([b.rows for b in blocks]), np.concatenate([b.scores for b in blocks]))

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """Scores of `rows`; 0 where the history says nothing about a known item, NaN on items never trained on."""
        out = np.full(rows.shape, np.nan, dtype=np.float32)
        inside = (rows >= 0) & (rows < len(self.known))
        inside[inside] = self.known[rows[inside]]
        for start in range(0, len(queries), BLOCK):
            span = slice(start, start + BLOCK)
            scores = self._dense(queries[span], width=len(self.known))
            picked = np.take_along_axis(scores, np.where(inside[span], rows[span], 0), axis=1)
            out[span] = np.where(inside[span], picked, np.nan)
        for i, query in enumerate(queries):
            if not (query.history.rows < len(self.known)).any():
                out[i] = np.nan  # an empty history has no opinion
        return out

    def _dense(self, queries: Sequence[Query], *, width: int) -> Scores:
        size = self.matrix.shape[0]
        scores = np.zeros((len(queries), max(width, size)), dtype=np.float32)
        scores[:, :size] = (self._weights(queries) @ self.matrix).toarray()
        return scores[:, :width]

    def _weights(self, queries: Sequence[Query]) -> sp.csr_matrix:
        histories = [query.history.last(self.window).rows for query in queries]
        histories = [rows[rows < self.matrix.shape[0]] for rows in histories]
        lengths = [len(rows) for rows in histories]
        columns = np.concatenate([*histories, np.empty(0, dtype=np.int64)])
        ages = np.concatenate([*(np.arange(length)[::-1] for length in lengths), np.empty(0)])
        starts = np.concatenate([[0], np.cumsum(lengths)])
        weights = (self.decay**ages).astype(np.float32)
        return sp.csr_matrix((weights, columns, starts), shape=(len(queries), self.matrix.shape[0]))

    def part(self, name: str) -> Part:
        arrays = {
            "data": self.matrix.data,
            "indices": self.matrix.indices.astype(np.int32),
            "indptr": self.matrix.indptr.astype(np.int64),
            "known": self.known,
        }
        config = {"decay": self.decay, "window": self.window, "fit": self.config}
        return Part(name=name, kind="linear", config=config, arrays=arrays, figures=self.figures)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a = part.arrays
        size = len(a["known"])
        matrix = sp.csr_matrix((a["data"], a["indices"], a["indptr"]), shape=(size, size))
        c = part.config
        return cls(
            matrix, known=a["known"], decay=c["decay"], window=c["window"], config=c["fit"], figures=part.figures
        )


def keep_largest(matrix: NDArray[np.float32], *, keep: int) -> tuple[sp.csr_matrix, float]:
    """The `keep` entries of largest size in each row, and the share of the total size that the others held."""
    size = matrix.shape[1]
    keep = min(keep, size)
    columns = np.argpartition(-np.abs(matrix), keep - 1, axis=1)[:, :keep]
    columns.sort(axis=1)
    values = np.take_along_axis(matrix, columns, axis=1)
    starts = np.arange(0, matrix.shape[0] * keep + 1, keep)
    total = float(np.abs(matrix).sum())
    sparse = sp.csr_matrix((values.ravel(), columns.ravel(), starts), shape=matrix.shape)
    sparse.eliminate_zeros()
    return sparse, 1 - float(np.abs(values).sum()) / total if total else 0.0
