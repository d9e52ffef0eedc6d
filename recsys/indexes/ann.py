"""Base of the FAISS indexes: FAISS proposes candidates, exact inner products rerank them.

The FAISS part stays as it was built, for it must not change while it is searched. A row deleted since then is skipped; new and
replaced rows (the delta) are searched exhaustively. Every search pays for the delta, so many thousands need a new build.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.errors import BundleError
from recsys.indexes.exact import ExactIndex
from recsys.indexes.index import Allowed, Flags, Rows, SearchResult, Vectors, empty_result, read_only, top_k, write_row


class AnnIndex(ABC):
    """`nodes` are the rows in the FAISS part (its n-th vector is row nodes[n]); `exact` has the current vectors of all rows.

    `changed` marks the rows whose current vector is not in the FAISS part.
    """

    def __init__(self, exact: ExactIndex, *, nodes: Rows, changed: Flags) -> None:
        self.exact = exact
        self.nodes, self.changed = read_only(nodes), read_only(changed)
        self._indexed = exact.known & ~changed
        self._delta = np.flatnonzero(exact.known & changed)

    @abstractmethod
    def _candidates(self, queries: Vectors, indexed: Sequence[Flags], *, k: int) -> list[Rows]:
        """For each query those of its `indexed` rows likely to include the `k` best; at least `k` where there are as many."""

    @abstractmethod
    def over(self, exact: ExactIndex, *, changed: Flags) -> Self:
        """The same FAISS part with the vectors of `exact`, of which `changed` ones differ."""

    @property
    def vectors(self) -> Vectors:
        return self.exact.vectors

    @property
    def known(self) -> Flags:
        return self.exact.known

    def search(self, queries: Vectors, *, k: int, allowed: Allowed | None = None) -> SearchResult:
        result = empty_result(len(queries), k=k)
        indexed = [self._indexed if allowed is None else self._indexed & allowed[i] for i in range(len(queries))]
        for i, rows in enumerate(self._candidates(queries, indexed, k=k)):
            if len(self._delta):
                delta = self._delta if allowed is None else self._delta[allowed[i][self._delta]]
                rows = np.concatenate([rows, delta])
            rows = np.sort(rows)
            write_row(result, i, *top_k(rows, inner_products(self.vectors, queries[i], rows), k=k))
        return result

    def with_rows(self, rows: Rows, vectors: Vectors) -> Self:
        exact = self.exact.with_rows(rows, vectors)
        changed = np.ones(len(exact.known), dtype=np.bool_)
        changed[: len(self.changed)] = self.changed
        changed[rows] = True
        return self.over(exact, changed=changed)

    def without(self, rows: Rows) -> Self:
        return self.over(self.exact.without(rows), changed=self.changed)


def inner_products(vectors: Vectors, query: Vectors, rows: Rows) -> Vectors:
    """Inner products of `query` with `rows` of `vectors`: for many rows a product with all is cheaper than gathering them."""
    if 4 * len(rows) < len(vectors):
        return vectors[rows] @ query
    return (vectors @ query)[rows]


def indexable(exact: ExactIndex) -> Flags:
    """The known rows with finite vectors; FAISS cannot index the others, which are compared exactly."""
    return exact.known & np.isfinite(exact.vectors).all(axis=1)


@contextmanager
def one_thread() -> Iterator[None]:
    """One FAISS thread inside: several would build in the order in which they happen to run, and a server needs the others.

    FAISS keeps the number of threads per calling thread, so it is set here and restored, not once at import.
    """
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def read_faiss(content: NDArray[np.uint8], name: str, *, what: str) -> Any:
    """The FAISS index in `content`.

    Raises:
        BundleError: there is none.
    """
    try:
        return faiss.deserialize_index(content)
    except RuntimeError as error:
        raise BundleError(f"index {name!r} holds no {what} that FAISS can read ({error}); build it again") from error


def stored_arrays(index: AnnIndex) -> dict[str, NDArray[Any]]:
    """The arrays of a part besides those of FAISS."""
    return {"vectors": index.vectors, "known": index.known, "nodes": index.nodes, "changed": index.changed}


def stored_exact(part: Part) -> ExactIndex:
    """The exact index over the vectors of a stored part."""
    return ExactIndex.from_part(Part(name=part.name, kind="exact", config={}, arrays=part.arrays))
