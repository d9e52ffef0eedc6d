"""Cold start by near-duplicate: a new item that reads as a trained one does (a copy, a new edition, the same thing listed again)
takes that item's scores in sources that read no text.

Such sources have no score for an item that came after training, or had no events then, and the fusion has learned what that
means; here it need not guess. All other new items stay as they were.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import NO_ROWS, Rows
from recsys.indexes.index import empty_result, top_k, write_row
from recsys.retrieval.explanation import Explanation
from recsys.retrieval.source import Allowed, Candidates, Query, Scores, Source

MIN_COSINE = 0.9
"""Cosine of two texts, in the space of the text neighbours, from which on one item is a near-duplicate of the other."""

ROWS_PER_BLOCK = 256
"""New items compared with all trained ones at once; the vectors of these are gathered only for more new items."""


@dataclass(frozen=True, slots=True, eq=False)
class NearDuplicates:
    """Row `duplicates[i]` is a near-duplicate of row `originals[i]`; `duplicates` ascends.

    `trained` (items,) marks the rows that may be originals: items of whose events sources learned. Others may be duplicates.
    """

    trained: NDArray[np.bool_]
    duplicates: Rows = field(default_factory=lambda: NO_ROWS)
    originals: Rows = field(default_factory=lambda: NO_ROWS)

    def with_items(self, rows: Rows, vectors: NDArray[np.float32]) -> "NearDuplicates":
        """The same after `rows` were written, with all text vectors (items, dim), of unit length, as they are now."""
        new = np.setdiff1d(rows, np.flatnonzero(self.trained))
        original = _nearest(vectors, new, self.trained)
        unchanged = ~np.isin(self.duplicates, new)
        duplicates = np.append(self.duplicates[unchanged], new[original >= 0])
        originals = np.append(self.originals[unchanged], original[original >= 0])
        order = np.argsort(duplicates)
        return NearDuplicates(self.trained, duplicates[order], originals[order])

    def without(self, rows: Rows) -> "NearDuplicates":
        """The same after the items at `rows` lost their texts."""
        pairs = ~(np.isin(self.duplicates, rows) | np.isin(self.originals, rows))
        return NearDuplicates(self.trained, self.duplicates[pairs], self.originals[pairs])

    def originals_of(self, rows: Rows) -> Rows:
        """`rows` with each duplicate replaced by its original."""
        position = np.minimum(np.searchsorted(self.duplicates, rows), len(self.duplicates) - 1)
        return np.where(self.duplicates[position] == rows, self.originals[position], rows)

    def __len__(self) -> int:
        return len(self.duplicates)


class DuplicateBackoff:
    """A source that does not know the duplicates, with the scores of their originals for them."""

    def __init__(self, source: Source, duplicates: NearDuplicates) -> None:
        self._source, self._duplicates = source, duplicates

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """Also the duplicates of the rows found, with their scores, even where the original itself is not allowed."""
        allowed = [replace(query, allowed=self._with_originals(query.allowed)) for query in queries]
        added = max(
            (int((new.allowed & ~old.allowed).sum()) for new, old in zip(allowed, queries, strict=True)), default=0
        )
        result, out = self._source.search(allowed, k=k + added), empty_result(len(queries), k=k)
        for i, query in enumerate(queries):
            rows, scores = self._with_duplicates(result.rows[i], result.scores[i])
            inside = (rows < len(query.allowed)) & query.allowed[np.minimum(rows, len(query.allowed) - 1)]
            write_row(out, i, *top_k(rows[inside], scores[inside], k=k))
        return Candidates(*out)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        return self._source.score(queries, self._duplicates.originals_of(rows))

    def explain(self, query: Query, rows: Rows) -> list[Explanation]:
        return self._source.explain(query, self._duplicates.originals_of(rows))

    def _with_originals(self, allowed: Allowed) -> Allowed:
        flags, pairs = allowed.copy(), self._duplicates
        inside = pairs.duplicates < len(allowed)
        flags[pairs.originals[inside][allowed[pairs.duplicates[inside]]]] = True
        return flags

    def _with_duplicates(self, rows: Rows, scores: Scores) -> tuple[Rows, Scores]:
        """Both with the duplicates added, by row; a duplicate that the source found by itself keeps its own score."""
        pairs, real = self._duplicates, rows >= 0
        order = np.argsort(rows[real])
        rows, scores = rows[real][order], scores[real][order]
        if not len(rows):
            return rows, scores
        position = np.minimum(np.searchsorted(rows, pairs.originals), len(rows) - 1)
        added = (rows[position] == pairs.originals) & ~np.isin(pairs.duplicates, rows)
        rows = np.append(rows, pairs.duplicates[added])
        scores = np.append(scores, scores[position[added]])
        order = np.argsort(rows)
        return rows[order], scores[order]


def _nearest(vectors: NDArray[np.float32], new: Rows, trained: NDArray[np.bool_]) -> Rows:
    """For each of the rows `new` the `trained` row nearest to it, -1 where none has a cosine of `MIN_COSINE`."""
    originals = np.flatnonzero(trained)
    if not len(originals):
        return np.full(len(new), -1, dtype=np.int64)
    gather = len(new) > ROWS_PER_BLOCK
    candidates = vectors[originals] if gather else vectors[: len(trained)]
    nearest = [NO_ROWS]
    for start in range(0, len(new), ROWS_PER_BLOCK):
        cosines = vectors[new[start : start + ROWS_PER_BLOCK]] @ candidates.T
        if not gather:
            cosines[:, ~trained] = -1
        best = cosines.argmax(axis=1)
        is_duplicate = cosines[np.arange(len(best)), best] >= MIN_COSINE
        nearest.append(np.where(is_duplicate, originals[best] if gather else best, -1))
    return np.concatenate(nearest)
