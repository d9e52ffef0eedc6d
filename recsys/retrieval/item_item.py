"""Item-item models: the score of an item is a weighted sum over the items of the history.

Markov chains, item neighbours and EASE are all one sparse item-item matrix and a weight for how long ago an event was;
they differ in how the matrix is fitted.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.history import NO_ROWS, History, Rows
from recsys.indexes.index import empty_result, top_k, write_row
from recsys.retrieval.explanation import Explanation, strongest
from recsys.retrieval.source import Candidates, Query, Scores, StoredSource
from recsys.retrieval.stored_arrays import stored_csr

QUERIES_PER_BLOCK = 256
"""Queries answered at once: bounds the dense scores in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class _Scores:
    """Sparse scores of all rows for `histories`: `product` (histories, rows); `has_known_item` has a flag per history."""

    histories: tuple[History, ...]
    has_known_item: NDArray[np.bool_]
    product: sp.csr_matrix

    def each(self) -> Iterator[tuple[Rows, Scores]]:
        """For each history the rows that have a score, in no order, and the scores: few of a large catalogue."""
        for start, end in pairwise(self.product.indptr.tolist()):
            yield self.product.indices[start:end], self.product.data[start:end]


_NO_SCORES = _Scores((), np.empty(0, dtype=np.bool_), sp.csr_matrix((0, 0)))


class ItemItemSource(StoredSource):
    """Scores `w @ matrix`, with w the history's weights times `decay ** age` over its last `window` events (age 0: the last), and
    -`against` for each item that the user rejected.

    `matrix` (items, items) is what row i's item says about column j's. `known` marks the items that were trained on; the
    others are passed over in a history as if they were not there.
    """

    def __init__(
        self,
        matrix: sp.csr_matrix,
        *,
        kind: str,
        known: NDArray[np.bool_],
        decay: float,
        window: int,
        config: dict[str, Any],
        against: float = 0.0,
        figures: dict[str, Any] | None = None,
    ) -> None:
        self.kind, self.matrix, self.known, self.decay, self.window = kind, matrix, known, decay, window
        self.against = against
        self.config, self.figures = config, figures or {}
        self._last = _NO_SCORES

    def with_query_time(self, **settings: float) -> Self:
        other = copy(self)
        other.decay, other.against = settings["decay"], settings.get("against", self.against)
        other._last = _NO_SCORES
        return other

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """Rows that some item of the history speaks for, best first."""
        result = empty_result(len(queries), k=k)
        for start in range(0, len(queries), QUERIES_PER_BLOCK):
            block = queries[start : start + QUERIES_PER_BLOCK]
            for i, (query, (rows, scores)) in enumerate(zip(block, self._scores(block).each(), strict=True), start):
                inside = (scores > 0) & (rows < len(query.allowed))
                rows, scores = rows[inside], scores[inside]
                allowed = query.allowed[rows]
                write_row(result, i, *_top_k(rows[allowed], scores[allowed], k=k))
        return Candidates(*result)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """Scores of `rows`; 0 for a known item that nothing of the history speaks for, NaN on items never trained on.

        All NaN for a history without a known item.
        """
        items = len(self.known)
        columns = np.where((rows < 0) | (rows >= items), items, rows)  # the last column: rows of no item here
        known = np.append(self.known, False)[columns]
        out, scores = np.full(rows.shape, np.nan, dtype=np.float32), np.zeros(items + 1, dtype=np.float32)
        for start in range(0, len(queries), QUERIES_PER_BLOCK):
            block = self._scores(queries[start : start + QUERIES_PER_BLOCK])
            for i, (scored, values) in enumerate(block.each(), start):
                if block.has_known_item[i - start]:
                    scores[scored] = values
                    out[i] = np.where(known[i], scores[columns[i]], np.nan)
                    scores[scored] = 0
        return out

    @property
    def trained(self) -> NDArray[np.bool_]:
        return self.known

    def explain(self, query: Query, rows: Rows) -> list[Explanation]:
        """The terms of the sum that the score is, by item of the history."""
        weights = self._weights([query])
        weights.sum_duplicates()
        inside = np.minimum(rows, len(self.known) - 1)
        terms = self.matrix[weights.indices][:, inside].toarray() * weights.data[:, None]
        return strongest(weights.indices, np.where(rows < len(self.known), terms, 0))

    def _scores(self, queries: Sequence[Query]) -> "_Scores":
        """Scores by history. A fusion asks for candidates and then for scores after the same histories: cached so long."""
        histories, last = tuple(query.history for query in queries), self._last
        if histories != last.histories:
            weights = self._weights(queries)
            has_known_item = np.array(
                [bool(self._is_known(history.rows).any()) for history in histories], dtype=np.bool_
            )
            last = _Scores(histories, has_known_item, sp.csr_matrix(self._products(weights)))
            self._last = last
        return last

    def _products(self, weights: sp.csr_matrix) -> sp.csr_matrix:
        """Scores (queries, items) of the `weights` (queries, items) of histories."""
        return weights @ self.matrix

    def _weights(self, queries: Sequence[Query]) -> sp.csr_matrix:
        """(queries, items): weights of the last `window` known events of each history, and of what was rejected."""
        columns, weights = [NO_ROWS], [np.empty(0)]
        for history in (query.history for query in queries):
            usable = history.select(np.flatnonzero(self._is_known(history.rows))[-self.window :])
            rejected = history.rejected[self._is_known(history.rejected)] if self.against else NO_ROWS
            columns.append(np.concatenate([usable.rows, rejected]))
            recency = usable.weights * self.decay ** np.arange(len(usable))[::-1]
            weights.append(np.concatenate([recency, np.full(len(rejected), -self.against)]))
        starts = np.cumsum([len(rows) for rows in columns])
        values = np.concatenate(weights).astype(np.float32)
        return sp.csr_matrix((values, np.concatenate(columns), starts), shape=(len(queries), len(self.known)))

    def _is_known(self, rows: Rows) -> NDArray[np.bool_]:
        """Which of `rows` were trained on."""
        inside = rows < len(self.known)
        inside[inside] = self.known[rows[inside]]
        return inside

    def part(self, name: str) -> Part:
        arrays = {
            "data": self.matrix.data,
            "indices": self.matrix.indices.astype(np.int32),
            "indptr": self.matrix.indptr.astype(np.int64),
            "known": self.known,
        }
        config = {"decay": self.decay, "window": self.window, "against": self.against, "fit": self.config}
        return Part(name=name, kind=self.kind, config=config, arrays=arrays, figures=self.figures)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a = part.arrays
        size = len(a["known"])
        matrix = stored_csr(a["data"], a["indices"], a["indptr"], shape=(size, size))
        c = part.config
        return cls(
            matrix,
            kind=part.kind,
            known=a["known"],
            decay=c["decay"],
            window=c["window"],
            against=c.get("against", 0.0),
            config=c["fit"],
            figures=part.figures,
        )


def _top_k(rows: Rows, scores: Scores, *, k: int) -> tuple[Rows, Scores]:
    """As `top_k` of rows in any order: those that cannot be among the best are dropped before the others are sorted."""
    if k < len(rows):
        largest = scores >= -np.partition(-scores, k - 1)[k - 1]
        rows, scores = rows[largest], scores[largest]
    order = np.argsort(rows)
    return top_k(rows[order], scores[order], k=k)


def keep_largest(matrix: NDArray[np.float32], *, keep: int) -> tuple[sp.csr_matrix, float]:
    """The `keep` entries of largest size in each row, and the share of the total size that is lost with the others."""
    keep, blocks, total = min(keep, matrix.shape[1]), [], 0.0
    for start in range(0, len(matrix), QUERIES_PER_BLOCK):
        sizes = np.abs(matrix[start : start + QUERIES_PER_BLOCK])
        columns = np.sort(np.argpartition(-sizes, keep - 1, axis=1)[:, :keep], axis=1)
        values = np.take_along_axis(matrix[start : start + QUERIES_PER_BLOCK], columns, axis=1)
        starts = np.arange(0, values.size + 1, keep)
        blocks.append(sp.csr_matrix((values.ravel(), columns.ravel(), starts), shape=sizes.shape))
        total += float(sizes.sum(dtype=np.float64))
    largest = sp.csr_matrix(sp.vstack(blocks))
    largest.eliminate_zeros()
    return largest, 1 - float(np.abs(largest.data).sum(dtype=np.float64)) / total if total else 0.0
