"""The approximate index: a graph (HNSW) that proposes rows, whose exact inner products then decide.

Source: Malkov and Yashunin (arXiv:1603.09320), through FAISS, which cannot take a row out of a graph and must not add to one
that is being searched. So the graph stays as it was built. What changed since is marked: a deleted row is skipped, a new or
replaced one is compared exactly beside the graph. Every search pays for these, so many thousands ask for a new `build_hnsw`.

Filters are applied to what the graph proposes, not inside its search: the `width` nearest rows of all hold the best `k` of
the allowed ones as soon as `k` of them are allowed. Otherwise `width` grows, up to where comparing all allowed rows costs
less. FAISS's own selectors never tell that too few were near, and a history is nearest to just the seen items that are
filtered out.
"""

from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.errors import BundleError, InvalidRequest
from recsys.indexes.exact import ExactConfig, ExactIndex
from recsys.indexes.index import Flags, Found, Rows, Vectors, best, fill, nothing, sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class HnswConfig:
    """Links per row (twice as many on the ground level), and how many rows are kept in view to build and to search."""

    neighbours: int = 32
    build: int = 200
    search: int = 128

    def __post_init__(self) -> None:
        for name in ("neighbours", "build", "search"):
            if getattr(self, name) < 2:
                raise InvalidRequest(f"{name}={getattr(self, name)}: a graph needs at least 2")


class HnswIndex:
    """`graph` holds the vectors of `nodes` (node n is row nodes[n]) as they were when it was built; `exact` knows how they are.

    `changed` marks the rows whose vector the graph does not hold.
    """

    def __init__(self, config: HnswConfig, exact: ExactIndex, *, graph: Any, nodes: Rows, changed: Flags) -> None:
        self.config, self.exact = config, exact
        self._graph, self._nodes, self._changed = graph, sealed(nodes), sealed(changed)
        self._drawn = exact.known & ~changed
        self._beside = np.flatnonzero(exact.known & changed)

    @property
    def vectors(self) -> Vectors:
        return self.exact.vectors

    @property
    def known(self) -> Flags:
        return self.exact.known

    def search(self, queries: Vectors, *, k: int, allowed: Flags | None = None) -> Found:
        """One query after the other: a server's threads each bring one, and FAISS lets go of the interpreter meanwhile."""
        found = nothing(len(queries), k=k)
        for i, query in enumerate(queries):
            drawn = self._drawn if allowed is None else self._drawn & allowed[i]
            beside = self._beside if allowed is None else self._beside[allowed[i, self._beside]]
            rows = np.union1d(self._proposed(query, drawn, k=k), beside)
            fill(found, i, *best(rows, self._products(query, rows), k=k))
        return found

    def with_rows(self, rows: Rows, vectors: Vectors) -> "HnswIndex":
        exact = self.exact.with_rows(rows, vectors)
        changed = np.ones(len(exact.known), dtype=np.bool_)
        changed[: len(self._changed)] = self._changed
        changed[rows] = True
        return HnswIndex(self.config, exact, graph=self._graph, nodes=self._nodes, changed=changed)

    def without(self, rows: Rows) -> "HnswIndex":
        exact = self.exact.without(rows)
        return HnswIndex(self.config, exact, graph=self._graph, nodes=self._nodes, changed=self._changed)

    def part(self, name: str) -> Part:
        """Without the vectors in the graph, which are there already."""
        graph = faiss.serialize_index(self._graph, faiss.IO_FLAG_SKIP_STORAGE)
        arrays = {"vectors": self.vectors, "known": self.known}
        arrays |= {"graph": graph, "nodes": self._nodes, "changed": self._changed}
        return Part(name=name, kind="hnsw", config=asdict(self.config), arrays=arrays)

    @classmethod
    def from_part(cls, part: Part) -> "HnswIndex":
        """The settings are read from the graph. Replaced rows guide the search by their new vectors from now on.

        Raises:
            BundleError: the graph is none, or belongs to other vectors.
        """
        a = part.arrays
        exact = ExactIndex(ExactConfig(), a["vectors"], known=a["known"])
        graph = _with_vectors(_read(a["graph"], part.name), exact.vectors[a["nodes"]])
        return cls(_config(graph), exact, graph=graph, nodes=a["nodes"], changed=a["changed"])

    def _proposed(self, query: Vectors, drawn: Flags, *, k: int) -> Rows:
        """Rows of `drawn` that should hold its `k` best: those near the query, or all where that is cheaper to find out."""
        count = int(np.count_nonzero(drawn))
        width = max(self.config.search // 2, ceil(k * len(self._nodes) / max(1, count)))
        # A search compares about 2 * width * neighbours vectors, each at twice the price of one met in order.
        while 4 * width * self.config.neighbours < count:
            rows = self._nearest(query, width)
            rows = rows[drawn[rows]]
            if len(rows) >= k:
                return rows
            width *= 4
        return np.flatnonzero(drawn)

    def _nearest(self, query: Vectors, width: int) -> Rows:
        """About the `width` nearest rows of the graph; twice as many are kept in view, for the last ones to be right."""
        view = faiss.SearchParametersHNSW(efSearch=2 * width)  # type: ignore[attr-defined]  # missing in FAISS's stubs
        _, nodes = self._graph.search(query[None], width, params=view)
        return self._nodes[nodes[nodes >= 0]]

    def _products(self, query: Vectors, rows: Rows) -> Vectors:
        """Inner products with `rows`: many are cheaper to pick out of all than to gather."""
        if 4 * len(rows) < len(self.vectors):
            return self.vectors[rows] @ query
        return (self.vectors @ query)[rows]


def build_hnsw(config: HnswConfig, vectors: Vectors, *, known: Flags) -> HnswIndex:
    """A graph over the known rows; the same vectors always give the same graph.

    One thread builds: several would link in the order in which they happen to run, and a server needs the others to answer.
    FAISS keeps the number of threads per calling thread, so it is set here and put back, not once at import.
    """
    exact = ExactIndex(ExactConfig(), vectors, known=known)
    drawn = exact.known & np.isfinite(exact.vectors).all(axis=1)  # the others cannot be linked and are compared exactly
    nodes = np.flatnonzero(drawn)
    graph = faiss.IndexHNSWFlat(exact.vectors.shape[1], config.neighbours, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction, graph.hnsw.efSearch = config.build, config.search
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        graph.add(exact.vectors[nodes])
    finally:
        faiss.omp_set_num_threads(threads)
    return HnswIndex(config, exact, graph=graph, nodes=nodes, changed=~drawn)


def _read(content: NDArray[np.uint8], name: str) -> Any:
    try:
        return faiss.deserialize_index(content)
    except RuntimeError as error:
        raise BundleError(f"index {name!r} holds no graph that FAISS can read ({error}); build it again") from error


def _config(graph: Any) -> HnswConfig:
    hnsw = graph.hnsw
    return HnswConfig(neighbours=hnsw.nb_neighbors(1), build=hnsw.efConstruction, search=hnsw.efSearch)


def _with_vectors(graph: Any, vectors: Vectors) -> Any:
    """The graph owns its vectors, as one that was built does."""
    if (graph.ntotal, graph.d) != vectors.shape:
        raise BundleError(
            f"a graph of {graph.ntotal} x {graph.d} does not fit vectors of {vectors.shape}; build it again"
        )
    storage: Any = faiss.IndexFlatIP(graph.d)
    storage.add(vectors)
    graph.storage, graph.own_fields = storage, True
    storage.this.disown()
    return graph
