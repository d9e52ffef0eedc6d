"""The approximate index: a graph (HNSW) that proposes rows, whose exact inner products then decide.

Source: Malkov and Yashunin (arXiv:1603.09320), through FAISS, which cannot take a row out of a graph. The graph holds each
number of a vector in a byte where that is fine enough, else in two or four: a search is quicker for it, since it waits for
memory, and the order of what it proposes is made anew.

Filters are applied to what the graph proposes, not inside its search: the nearest rows of all that a search keeps in view
hold the best `k` of the allowed ones as soon as `k` of them are allowed. Otherwise the view is widened, up to where comparing
all allowed rows costs less. FAISS's own selectors never tell that too few were near, and a history is nearest to just the
seen items that are filtered out.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import faiss
import numpy as np

from recsys.bundle import Part
from recsys.errors import BundleError, InvalidRequest
from recsys.indexes.ann import AnnIndex, indexable, one_thread, read_faiss, stored_arrays, stored_exact
from recsys.indexes.exact import ExactConfig, ExactIndex
from recsys.indexes.index import Flags, Rows, Vectors

SPARE = 16
"""Rows beyond the wanted ones that are compared again: FAISS sums in another order, which may swap neighbours."""

ROUNDED, OUTLIERS, SAMPLE = 0.03, 0.01, 10_000
"""A rounding will do where no more than `OUTLIERS` of so many vectors are moved by more than `ROUNDED` of their length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HnswConfig:
    """Links per row (twice as many on the ground level), and how many rows are kept in view to build and, at least, to search.

    Of 100,000 in tight clusters this finds 98 of 100 among the ten best. Fewer links chosen from a wider view beat more of them.
    """

    neighbours: int = 24
    build: int = 1000
    search: int = 144

    def __post_init__(self) -> None:
        for name in ("neighbours", "build", "search"):
            if getattr(self, name) < 2:
                raise InvalidRequest(f"{name}={getattr(self, name)}: a graph needs at least 2")


class HnswIndex(AnnIndex):
    """`graph` holds the vectors of `nodes` as they were when it was built."""

    def __init__(self, config: HnswConfig, exact: ExactIndex, *, graph: Any, nodes: Rows, changed: Flags) -> None:
        super().__init__(exact, nodes=nodes, changed=changed)
        self.config, self.graph = config, graph

    def part(self, name: str) -> Part:
        graph = faiss.serialize_index(self.graph)
        return Part(name=name, kind="hnsw", config=asdict(self.config), arrays=stored_arrays(self) | {"graph": graph})

    @classmethod
    def from_part(cls, part: Part) -> "HnswIndex":
        """The settings are read from the graph. One without its vectors, as earlier versions stored it, is built anew.

        Raises:
            BundleError: the graph is none, or belongs to other vectors.
        """
        a, exact = part.arrays, stored_exact(part)
        graph = read_faiss(a["graph"], part.name, what="graph")
        held = (graph.ntotal, graph.d)
        if not isinstance(graph, faiss.IndexHNSW) or held != (len(a["nodes"]), exact.vectors.shape[1]):
            raise BundleError(
                f"a graph of {held[0]} x {held[1]} does not fit {len(a['nodes'])} vectors of {exact.vectors.shape[1]}; "
                f"build it again"
            )
        if graph.storage is None:
            return build_hnsw(_config(graph), exact.vectors, known=exact.known)
        return cls(_config(graph), exact, graph=graph, nodes=a["nodes"], changed=a["changed"])

    def over(self, exact: ExactIndex, *, changed: Flags) -> "HnswIndex":
        return HnswIndex(self.config, exact, graph=self.graph, nodes=self.nodes, changed=changed)

    def _proposed(self, queries: Vectors, drawn: Sequence[Flags], *, k: int) -> list[Rows]:
        """Those near each query, or all where that is cheaper to find out. Equal views are searched together."""
        counts = [int(np.count_nonzero(flags)) for flags in drawn]
        views = [self._view(count, k=k) for count in counts]
        found: list[Rows | None] = [None] * len(queries)
        for view in set(views):
            asked = [i for i, count in enumerate(counts) if views[i] == view and self._worth(view, count)]
            for i, rows in zip(asked, self._nearest(queries[asked], view), strict=True):
                found[i] = self._wider(queries[i], drawn[i], rows[drawn[i][rows]], count=counts[i], view=view, k=k)
        return [np.flatnonzero(flags) if rows is None else rows for flags, rows in zip(drawn, found, strict=True)]

    def _view(self, count: int, *, k: int) -> int:
        """How many rows to look at for `k` of `count` allowed ones.

        A few that are not allowed, as those of a history, may be the nearest. Half as many again as wanted, for the last in view
        are less sure; four times as many where a filter spreads the allowed ones over all of the view.
        """
        blocked = len(self.nodes) - count
        if blocked <= self.config.search:
            return max(self.config.search, 3 * (k + blocked) // 2)
        return max(self.config.search, 4 * ceil(k * len(self.nodes) / max(1, count)))

    def _worth(self, view: int, count: int) -> bool:
        """A search compares about `view * neighbours` vectors, each at twice the price of one met in order."""
        return 2 * view * self.config.neighbours < count

    def _wider(self, query: Vectors, drawn: Flags, rows: Rows, *, count: int, view: int, k: int) -> Rows | None:
        """The first of the allowed `rows` in view, or of a wider one while they are fewer than `k`; None: compare all."""
        while len(rows) < k:
            view *= 4
            if not self._worth(view, count):
                return None
            (rows,) = self._nearest(query[None], view)
            rows = rows[drawn[rows]]
        return rows[: k + SPARE]

    def _nearest(self, queries: Vectors, view: int) -> list[Rows]:
        """The rows of the graph in view of each query, nearest first."""
        if not len(queries):
            return []
        wide = faiss.SearchParametersHNSW(efSearch=view)  # type: ignore[attr-defined]  # missing in FAISS's stubs
        with one_thread():
            _, nodes = self.graph.search(queries, view, params=wide)
        return [self.nodes[row[row >= 0]] for row in nodes]


def build_hnsw(config: HnswConfig, vectors: Vectors, *, known: Flags) -> HnswIndex:
    """A graph over the known rows; the same vectors always give the same graph."""
    exact = ExactIndex(ExactConfig(), vectors, known=known)
    drawn = indexable(exact)
    nodes = np.flatnonzero(drawn)
    with one_thread():
        graph = _empty(exact.vectors.shape[1], config, exact.vectors[nodes])
        graph.hnsw.efConstruction, graph.hnsw.efSearch = config.build, config.search
        if len(nodes):
            graph.add(exact.vectors[nodes])
    return HnswIndex(config, exact, graph=graph, nodes=nodes, changed=~drawn)


def _empty(dim: int, config: HnswConfig, vectors: Vectors) -> Any:
    """A graph without nodes that rounds as finely as a sample of `vectors` needs: to a byte, to two, or not at all."""
    sample = vectors[:: max(1, len(vectors) // SAMPLE)]
    lengths = np.linalg.norm(sample, axis=1)
    for kind in (faiss.ScalarQuantizer.QT_8bit, faiss.ScalarQuantizer.QT_fp16):
        graph: Any = faiss.IndexHNSWSQ(dim, kind, config.neighbours, faiss.METRIC_INNER_PRODUCT)  # type: ignore[arg-type]
        if not len(vectors):
            return graph
        graph.train(vectors)
        storage: Any = faiss.downcast_index(graph.storage)
        off = np.linalg.norm(storage.sa_decode(storage.sa_encode(sample)) - sample, axis=1)
        if np.mean((lengths > 0) & ~(off <= ROUNDED * lengths)) <= OUTLIERS:
            return graph
    return faiss.IndexHNSWFlat(dim, config.neighbours, faiss.METRIC_INNER_PRODUCT)


def _config(graph: Any) -> HnswConfig:
    hnsw = graph.hnsw
    return HnswConfig(neighbours=hnsw.nb_neighbors(1), build=hnsw.efConstruction, search=hnsw.efSearch)
