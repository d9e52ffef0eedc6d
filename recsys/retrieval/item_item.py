"""Sources that add up, over a history, what each of its items says about the others.

Markov chains, item neighbours and EASE are all one sparse item-item matrix and a weight for how long ago an event was;
they differ in how the matrix is fitted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.history import NO_ROWS, History, Rows
from recsys.indexes.index import empty_result, top_k, write_row
from recsys.retrieval.source import Candidates, Query, Scores

QUERIES_PER_BLOCK = 256
"""Queries answered at once: bounds the dense scores in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """What `histories` say about all rows: `product` (histories, rows); `spoken` marks those with a known item in them."""

    histories: tuple[History, ...]
    spoken: NDArray[np.bool_]
    product: sp.csr_matrix

    def each(self) -> Iterator[tuple[Rows, Scores]]:
        """For each history the rows that it says something about, in no order, and what: few of a large catalogue."""
        for start, end in pairwise(self.product.indptr.tolist()):
            yield self.product.indices[start:end], self.product.data[start:end]


class ItemItemSource:
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
        self._last = _Said((), np.empty(0, dtype=np.bool_), sp.csr_matrix((0, 0)))

    def reweighed(self, *, decay: float) -> "ItemItemSource":
        """The same matrix with histories weighed otherwise."""
        return ItemItemSource(
            self.matrix, known=self.known, decay=decay, window=self.window, config=self.config, figures=self.figures
        )

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """Rows that some event of the history points at, best first."""
        found = empty_result(len(queries), k=k)
        for start in range(0, len(queries), QUERIES_PER_BLOCK):
            block = queries[start : start + QUERIES_PER_BLOCK]
            for i, (query, (rows, scores)) in enumerate(zip(block, self._said(block).each(), strict=True), start):
                inside = (scores > 0) & (rows < len(query.allowed))
                rows, scores = rows[inside], scores[inside]
                shown = query.allowed[rows]
                write_row(found, i, *_best_of(rows[shown], scores[shown], k=k))
        return Candidates(*found)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """Scores of `rows`; 0 where the history says nothing about a known item, NaN on items never trained on.

        All NaN for a history without a known item: it has no opinion.
        """
        items = len(self.known)
        places = np.where((rows < 0) | (rows >= items), items, rows)  # the last place: rows of no item here
        opinion = np.append(self.known, False)[places]
        out, scores = np.full(rows.shape, np.nan, dtype=np.float32), np.zeros(items + 1, dtype=np.float32)
        for start in range(0, len(queries), QUERIES_PER_BLOCK):
            said = self._said(queries[start : start + QUERIES_PER_BLOCK])
            for i, (about, what) in enumerate(said.each(), start):
                if said.spoken[i - start]:
                    scores[about] = what
                    out[i] = np.where(opinion[i], scores[places[i]], np.nan)
                    scores[about] = 0
        return out

    def _said(self, queries: Sequence[Query]) -> "_Said":
        """What the histories say. A fusion asks for candidates and then for scores after the same ones: they are kept so long."""
        histories, last = tuple(query.history for query in queries), self._last
        if histories != last.histories:
            weights = self._weights(queries)
            last = _Said(histories, np.diff(weights.indptr) > 0, sp.csr_matrix(weights @ self.matrix))
            self._last = last
        return last

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


def _best_of(rows: Rows, scores: Scores, *, k: int) -> tuple[Rows, Scores]:
    """`top_k` of rows in any order: those that cannot be among them go before the others are sorted."""
    if k < len(rows):
        near = scores >= -np.partition(-scores, k - 1)[k - 1]
        rows, scores = rows[near], scores[near]
    order = np.argsort(rows)
    return top_k(rows[order], scores[order], k=k)


def keep_largest(matrix: NDArray[np.float32], *, keep: int) -> tuple[sp.csr_matrix, float]:
    """The `keep` entries of largest size in each row, and the share of the total size that the others held."""
    keep, blocks, total = min(keep, matrix.shape[1]), [], 0.0
    for start in range(0, len(matrix), QUERIES_PER_BLOCK):
        sizes = np.abs(matrix[start : start + QUERIES_PER_BLOCK])
        columns = np.sort(np.argpartition(-sizes, keep - 1, axis=1)[:, :keep], axis=1)
        values = np.take_along_axis(matrix[start : start + QUERIES_PER_BLOCK], columns, axis=1)
        starts = np.arange(0, values.size + 1, keep)
        blocks.append(sp.csr_matrix((values.ravel(), columns.ravel(), starts), shape=sizes.shape))
        total += float(sizes.sum(dtype=np.float64))
    kept = sp.csr_matrix(sp.vstack(blocks))
    kept.eliminate_zeros()
    return kept, 1 - float(np.abs(kept.data).sum(dtype=np.float64)) / total if total else 0.0
