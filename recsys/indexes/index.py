"""What every index offers: the rows with the largest inner products, among those that a query allows."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part

Rows = NDArray[np.int64]
Vectors = NDArray[np.float32]
Flags = NDArray[np.bool_]
Allowed = Flags | Sequence[Flags]
T = TypeVar("T", bound=np.generic)

SORT_ALL_BELOW = 1000
"""Up to so many scores are sorted as a whole: to partition them first would take longer."""


class SearchResult(NamedTuple):
    """The best rows of each query, best first: `rows` (queries, k) with -1 where fewer exist, `scores` with -inf there."""

    rows: Rows
    scores: Vectors


class Index(Protocol):
    """Vectors by catalogue row. Immutable: a change gives a new index, so that a search in another thread never sees half of one.

    Whoever swaps indexes lets one writer at a time do it: two changes of the same snapshot know nothing of each other.
    """

    @property
    def vectors(self) -> Vectors:
        """(rows, dim), read-only."""
        ...

    @property
    def known(self) -> Flags:
        """(rows,): which rows have a vector and were not deleted, read-only."""
        ...

    def search(self, queries: Vectors, *, k: int, allowed: Allowed | None = None) -> SearchResult:
        """The `k` known rows with the largest inner products with each of `queries` (queries, dim).

        `allowed` holds for each query flags of all rows, its allow list less its exclude list; None allows everything. Scores
        are the inner products themselves, equal ones in row order; NaN and -inf are never returned. An approximate index may miss
        some of the best, but gives `k` rows where there are as many.
        """
        ...

    def with_rows(self, rows: Rows, vectors: Vectors) -> Self:
        """This index with `vectors` (rows, dim) at `rows`: new, replaced or beyond the end. Of a repeated row the last counts."""
        ...

    def without(self, rows: Rows) -> Self:
        """This index without `rows`; rows it never knew are ignored."""
        ...

    def part(self, name: str) -> Part:
        """The index as it is stored; arrays besides `vectors` and `known` are those that take long to make."""
        ...


def top_k(rows: Rows, scores: Vectors, *, k: int) -> tuple[Rows, Vectors]:
    """The `k` best of ascending `rows` by their `scores`, best first, equal ones in row order; never -inf or NaN."""
    real = scores > -np.inf
    if not real.all():
        rows, scores = rows[real], scores[real]
    if 0 < k < len(rows) and len(rows) > SORT_ALL_BELOW:
        last = nth_largest(scores, k)
        above = np.flatnonzero(scores > last)
        equal = np.flatnonzero(scores == last)[: k - len(above)]  # row order decides among equals of the last one
        inside = np.sort(np.concatenate([above, equal]))
        rows, scores = rows[inside], scores[inside]
    order = np.argsort(-scores, kind="stable")[:k]
    return rows[order], scores[order]


def nth_largest(scores: Vectors, n: int) -> np.float32:
    """The n-th largest of at least `n` scores, none of which is NaN.

    The n-th largest of the maxima of blocks is no larger, so that of many scores few have to be sorted.
    """
    size = len(scores) // (16 * n)
    if size >= 8:
        maxima = scores[: len(scores) // size * size].reshape(-1, size).max(axis=1)
        scores = scores[scores >= nth_largest(maxima, n)]
    return -np.partition(-scores, n - 1)[n - 1]  # from below, many equal scores take twenty times as long


def empty_result(queries: int, *, k: int) -> SearchResult:
    """A result without rows."""
    return SearchResult(np.full((queries, k), -1, dtype=np.int64), np.full((queries, k), -np.inf, dtype=np.float32))


def write_row(result: SearchResult, query: int, rows: Rows, scores: Vectors) -> None:
    """Writes the rows of one query, up to `k` of them."""
    result.rows[query, : len(rows)], result.scores[query, : len(rows)] = rows, scores


def read_only(array: NDArray[T]) -> NDArray[T]:
    """A contiguous view that cannot be written through."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def extended(vectors: Vectors, known: Flags, rows: Rows, new: Vectors) -> tuple[Vectors, Flags]:
    """Copies of both with `new` vectors at `rows`, which may lie beyond the end."""
    assert rows.min(initial=0) >= 0, f"row {rows.min()} is no place in a catalogue"
    size = max(len(vectors), int(rows.max(initial=-1)) + 1)
    extended_vectors, extended_known = (
        np.zeros((size, vectors.shape[1]), dtype=np.float32),
        np.zeros(size, dtype=np.bool_),
    )
    extended_vectors[: len(vectors)], extended_known[: len(known)] = vectors, known
    extended_vectors[rows], extended_known[rows] = new, True
    return extended_vectors, extended_known
