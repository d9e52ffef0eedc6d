"""What is known of an item lent to a new one that reads the same: a copy, a new edition, the same thing listed again.

Sources that read no texts say nothing of an item that came after training. The fusion has learned what their silence means, but
a new item that reads as an old one does is no riddle: it is scored, and proposed, as its twin is. All others stay as they were.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import NO_ROWS, Rows
from recsys.indexes.index import empty_result, top_k, write_row
from recsys.retrieval.source import Allowed, Candidates, Query, Scores, Source

MIN_COSINE = 0.9
"""Cosine of two texts, in the space of the text neighbours, from which on one item lends to the other."""

ROWS_PER_BLOCK = 256
"""New items compared with all trained ones at once."""


@dataclass(frozen=True, slots=True, eq=False)
class NearDuplicates:
    """Row `new[i]` borrows from row `old[i]`, one of the `trained` first rows; `new` ascends."""

    trained: int
    new: Rows = field(default_factory=lambda: NO_ROWS)
    old: Rows = field(default_factory=lambda: NO_ROWS)

    def with_items(self, rows: Rows, vectors: NDArray[np.float32]) -> "NearDuplicates":
        """The same after `rows` were written, with all text vectors (items, dim), of unit length, as they are now."""
        later = np.unique(rows[rows >= self.trained])
        near = [
            _nearest(vectors[later[i : i + ROWS_PER_BLOCK]], vectors[: self.trained])
            for i in range(0, len(later), ROWS_PER_BLOCK)
        ]
        twin = np.concatenate([NO_ROWS, *near])
        stay = ~np.isin(self.new, later)
        new, old = np.append(self.new[stay], later[twin >= 0]), np.append(self.old[stay], twin[twin >= 0])
        order = np.argsort(new)
        return NearDuplicates(self.trained, new[order], old[order])

    def originals(self, rows: Rows) -> Rows:
        """`rows` with each borrower's lender in its place."""
        place = np.minimum(np.searchsorted(self.new, rows), len(self.new) - 1)
        return np.where(self.new[place] == rows, self.old[place], rows)

    def __len__(self) -> int:
        return len(self.new)


class DuplicateBackoff:
    """A source that has never met the borrowers of `twins`, speaking of each as of its lender."""

    def __init__(self, source: Source, twins: NearDuplicates) -> None:
        self._source, self._twins = source, twins

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """Also the borrowers of what is found, with its score; a lender that may not be shown still lends."""
        asked = [Query(query.history, self._with_lenders(query.allowed)) for query in queries]
        found, out = self._source.search(asked, k=k), empty_result(len(queries), k=k)
        for i, query in enumerate(queries):
            rows, scores = self._with_borrowers(found.rows[i], found.scores[i])
            shown = (rows < len(query.allowed)) & query.allowed[np.minimum(rows, len(query.allowed) - 1)]
            write_row(out, i, *top_k(rows[shown], scores[shown], k=k))
        return Candidates(*out)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        return self._source.score(queries, self._twins.originals(rows))

    def _with_lenders(self, allowed: Allowed) -> Allowed:
        flags = allowed.copy()
        inside = self._twins.new < len(allowed)
        flags[self._twins.old[inside][allowed[self._twins.new[inside]]]] = True
        return flags

    def _with_borrowers(self, rows: Rows, scores: Scores) -> tuple[Rows, Scores]:
        """Both with the borrowers behind, by row; a borrower that the source found by itself counts as such."""
        real = rows >= 0
        order = np.argsort(rows[real])
        rows, scores = rows[real][order], scores[real][order]
        if not len(rows):
            return rows, scores
        place = np.minimum(np.searchsorted(rows, self._twins.old), len(rows) - 1)
        borrows = (rows[place] == self._twins.old) & ~np.isin(self._twins.new, rows)
        rows = np.append(rows, self._twins.new[borrows])
        scores = np.append(scores, scores[place[borrows]])
        order = np.argsort(rows)
        return rows[order], scores[order]


def _nearest(vectors: NDArray[np.float32], trained: NDArray[np.float32]) -> Rows:
    """For each of `vectors` the row of `trained` nearest to it, -1 where none is `MIN_COSINE`."""
    if not len(trained):
        return np.full(len(vectors), -1, dtype=np.int64)
    cosines = vectors @ trained.T
    place = cosines.argmax(axis=1)
    return np.where(cosines[np.arange(len(place)), place] >= MIN_COSINE, place, -1)
