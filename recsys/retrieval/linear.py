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
from recsys.data.history import NO_ROWS, Rows
from recsys.indexes.index import best, fill, nothing
from recsys.retrieval.source import Candidates, Query, Scores

BLOCK = 256
"""Queries answered at once: bounds the dense scores in memory."""


class LinearSource:
    """Scores `w @ matrix`, with w the history's weights `decay ** age` over its last `window` events (age 0: the last).

    `matrix` (items, items) is what row i's item says about column j's. `known` marks the items that were trained on; the
    others are passed over in a history as if they were not there.
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
        found = nothing(len(queries), k=k)
        for start in range(0, len(queries), BLOCK):
            block = queries[start : start + BLOCK]
            for i, (query, scores) in enumerate(zip(block, self._dense(self._weights(block)), strict=True), start):
                rows = np.flatnonzero(scores[: len(query.allowed)] > 0)
                rows = rows[query.allowed[rows]]
                fill(found, i, *best(rows, scores[rows], k=k))
        return Candidates(*found)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """Scores of `rows`; 0 where the history says nothing about a known item, NaN on items never trained on.

        All NaN for a history without a known item: it has no opinion.
        """
        items = len(self.known)
        out = np.empty(rows.shape, dtype=np.float32)
        for start in range(0, len(queries), BLOCK):
            span = slice(start, start + BLOCK)
            weights = self._weights(queries[span])
            scores = np.full(
                (len(queries[span]), items + 1), np.nan, dtype=np.float32
            )  # the last: rows of no item here
            scores[:, :items] = self._dense(weights)
            scores[:, :items][:, ~self.known] = np.nan
            scores[np.diff(weights.indptr) == 0] = np.nan
            places = np.where((rows[span] < 0) | (rows[span] >= items), items, rows[span])
            out[span] = np.take_along_axis(scores, places, axis=1)
        return out

    def _dense(self, weights: sp.csr_matrix) -> Scores:
        return np.asarray((weights @ self.matrix).toarray(), dtype=np.float32)

    def _weights(self, queries: Sequence[Query]) -> sp.csr_matrix:
        """(queries, items): what each known item of the history's last `window` of them weighs."""
        histories = [self._usable(query.history.rows) for query in queries]
        lengths = [len(rows) for rows in histories]
        columns = np.concatenate([*histories, NO_ROWS])
        ages = np.concatenate([*(np.arange(length)[::-1] for length in lengths), NO_ROWS])
        starts = np.concatenate([[0], np.cumsum(lengths)])
        weights = (self.decay**ages).astype(np.float32)
        return sp.csr_matrix((weights, columns, starts), shape=(len(queries), self.matrix.shape[0]))

    def _usable(self, rows: Rows) -> Rows:
        rows = rows[rows < len(self.known)]
        return rows[self.known[rows]][-self.window :]

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
    keep, blocks, total = min(keep, matrix.shape[1]), [], 0.0
    for start in range(0, len(matrix), BLOCK):
        sizes = np.abs(matrix[start : start + BLOCK])
        columns = np.sort(np.argpartition(-sizes, keep - 1, axis=1)[:, :keep], axis=1)
        values = np.take_along_axis(matrix[start : start + BLOCK], columns, axis=1)
        starts = np.arange(0, values.size + 1, keep)
        blocks.append(sp.csr_matrix((values.ravel(), columns.ravel(), starts), shape=sizes.shape))
        total += float(sizes.sum(dtype=np.float64))
    kept = sp.csr_matrix(sp.vstack(blocks))
    kept.eliminate_zeros()
    return kept, 1 - float(np.abs(kept.data).sum(dtype=np.float64)) / total if total else 0.0
