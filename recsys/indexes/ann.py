"""What indexes have in common whose FAISS part only proposes rows: exact inner products decide, changes stand beside it.

The FAISS part stays as it was built, for it must not be changed while it is searched. What changed since is marked: a deleted
row is skipped, a new or replaced one is compared exactly beside what is proposed. Every search pays for these, so many
thousands ask for a new build.
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
    """`nodes` are the rows that the FAISS part knows (its n-th vector is row nodes[n]); `exact` knows all as they are.

    `changed` marks the rows whose vector the FAISS part does not hold.
    """

    def __init__(self, exact: ExactIndex, *, nodes: Rows, changed: Flags) -> None:
        self.exact = exact
        self.nodes, self.changed = read_only(nodes), read_only(changed)
        self._drawn = exact.known & ~changed
        self._beside = np.flatnonzero(exact.known & changed)

    @abstractmethod
    def _proposed(self, queries: Vectors, drawn: Sequence[Flags], *, k: int) -> list[Rows]:
        """For each query, rows of its `drawn` that should hold the `k` best: at least `k` of them where there are as many."""

    @abstractmethod
    def over(self, exact: ExactIndex, *, changed: Flags) -> Self:
        """The same FAISS part beside other vectors."""

    @property
    def vectors(self) -> Vectors:
        return self.exact.vectors

    @property
    def known(self) -> Flags:
        return self.exact.known

    def search(self, queries: Vectors, *, k: int, allowed: Allowed | None = None) -> SearchResult:
        found = empty_result(len(queries), k=k)
        drawn = [self._drawn if allowed is None else self._drawn & allowed[i] for i in range(len(queries))]
        for i, rows in enumerate(self._proposed(queries, drawn, k=k)):
            if len(self._beside):
                beside = self._beside if allowed is None else self._beside[allowed[i][self._beside]]
                rows = np.concatenate([rows, beside])
            rows = np.sort(rows)
            write_row(found, i, *top_k(rows, products(self.vectors, queries[i], rows), k=k))
        return found

    def with_rows(self, rows: Rows, vectors: Vectors) -> Self:
        exact = self.exact.with_rows(rows, vectors)
        changed = np.ones(len(exact.known), dtype=np.bool_)
        changed[: len(self.changed)] = self.changed
        changed[rows] = True
        return self.over(exact, changed=changed)

    def without(self, rows: Rows) -> Self:
        return self.over(self.exact.without(rows), changed=self.changed)


def products(vectors: Vectors, query: Vectors, rows: Rows) -> Vectors:
    """Inner products of `query` with `rows` of `vectors`: many are cheaper to pick out of all than to gather."""
    if 4 * len(rows) < len(vectors):
        return vectors[rows] @ query
    return (vectors @ query)[rows]


def indexable(exact: ExactIndex) -> Flags:
    """The known rows whose vectors are numbers; the others cannot be drawn and are compared exactly."""
    return exact.known & np.isfinite(exact.vectors).all(axis=1)


@contextmanager
def one_thread() -> Iterator[None]:
    """One FAISS thread inside: several would build in the order in which they happen to run, and a server needs the others.

    FAISS keeps the number of threads per calling thread, so it is set here and put back, not once at import.
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
    """What of a part does not belong to FAISS."""
    return {"vectors": index.vectors, "known": index.known, "nodes": index.nodes, "changed": index.changed}


def stored_exact(part: Part) -> ExactIndex:
    """The exact index over the vectors of a stored part."""
    return ExactIndex.from_part(Part(name=part.name, kind="exact", config={}, arrays=part.arrays))
