"""The approximate index: a graph (HNSW) that proposes rows, whose exact inner products then decide.

Source: Malkov and Yashunin (arXiv:1603.09320), through FAISS, which cannot take a row out of a graph.

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

from recsys.bundle import Part
from recsys.errors import BundleError, InvalidRequest
from recsys.indexes.exact import ExactConfig, ExactIndex
from recsys.indexes.index import Flags, Rows, Vectors
from recsys.indexes.proposing import ProposingIndex, linkable, one_thread, read_faiss, stored_arrays, stored_exact


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


class HnswIndex(ProposingIndex):
    """`graph` holds the vectors of `nodes` as they were when it was built."""

    def __init__(self, config: HnswConfig, exact: ExactIndex, *, graph: Any, nodes: Rows, changed: Flags) -> None:
        super().__init__(exact, nodes=nodes, changed=changed)
        self.config, self._graph = config, graph

    def part(self, name: str) -> Part:
        """Without the vectors in the graph, which are there already."""
        graph = faiss.serialize_index(self._graph, faiss.IO_FLAG_SKIP_STORAGE)
        return Part(name=name, kind="hnsw", config=asdict(self.config), arrays=stored_arrays(self) | {"graph": graph})

    @classmethod
    def from_part(cls, part: Part) -> "HnswIndex":
        """The settings are read from the graph. Replaced rows guide the search by their new vectors from now on.

        Raises:
            BundleError: the graph is none, or belongs to other vectors.
        """
        a, exact = part.arrays, stored_exact(part)
        graph = _with_vectors(read_faiss(a["graph"], part.name, what="graph"), exact.vectors[a["nodes"]])
        return cls(_config(graph), exact, graph=graph, nodes=a["nodes"], changed=a["changed"])

    def _over(self, exact: ExactIndex, *, changed: Flags) -> "HnswIndex":
        return HnswIndex(self.config, exact, graph=self._graph, nodes=self.nodes, changed=changed)

    def _proposed(self, query: Vectors, drawn: Flags, *, k: int) -> Rows:
        """Those near the query, or all where that is cheaper to find out."""
        count = int(np.count_nonzero(drawn))
        width = max(self.config.search // 2, ceil(k * len(self.nodes) / max(1, count)))
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
        return self.nodes[nodes[nodes >= 0]]


def build_hnsw(config: HnswConfig, vectors: Vectors, *, known: Flags) -> HnswIndex:
    """A graph over the known rows; the same vectors always give the same graph."""
    exact = ExactIndex(ExactConfig(), vectors, known=known)
    drawn = linkable(exact)
    nodes = np.flatnonzero(drawn)
    graph = faiss.IndexHNSWFlat(exact.vectors.shape[1], config.neighbours, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction, graph.hnsw.efSearch = config.build, config.search
    with one_thread():
        graph.add(exact.vectors[nodes])
    return HnswIndex(config, exact, graph=graph, nodes=nodes, changed=~drawn)


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
