"""IVF-PQ: vectors in inverted lists, a few bytes each, for catalogues whose graph would be too slow to build or too large.

Source: Jégou, Douze and Schmid, "Product quantization for nearest neighbor search" (PAMI 2011), through FAISS. The codes
rank roughly, so they only propose `refine_factor * k` candidates, which exact inner products rerank ("refine").

A filter goes into the search of the lists. Where the probed lists have too few allowed rows, four times as many are probed, up
to where comparing all allowed rows costs less.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.errors import BundleError, InvalidRequest
from recsys.indexes.ann import AnnIndex, indexable, one_thread, read_faiss, stored_arrays, stored_exact
from recsys.indexes.exact import ExactConfig, ExactIndex
from recsys.indexes.index import Flags, Rows, Vectors

ROWS_PER_CENTROID = 39
"""FAISS asks for so many training rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IvfPqConfig:
    """FAISS's settings: `nlist` inverted lists (fewer where there are few rows), `pq_m` codes of `pq_bits` bits a vector.

    A search probes `nprobe` lists and refines `refine_factor * k` rows. Below `min_rows` rows all are compared.
    """

    nlist: int = 1024
    pq_m: int = 64
    pq_bits: int = 8
    nprobe: int = 32
    refine_factor: int = 20
    min_rows: int = 10_000

    def __post_init__(self) -> None:
        for name in ("nlist", "pq_m", "nprobe", "refine_factor", "min_rows"):
            if getattr(self, name) < 1:
                raise InvalidRequest(f"{name}={getattr(self, name)}: at least 1")
        if not 4 <= self.pq_bits <= 8:
            raise InvalidRequest(f"pq_bits={self.pq_bits}: a code has 4 to 8")


class IvfPqIndex(AnnIndex):
    """`lists` has the codes of `nodes`; None where there are too few rows to learn codes from."""

    def __init__(
        self, config: IvfPqConfig, exact: ExactIndex, *, lists: Any | None, nodes: Rows, changed: Flags
    ) -> None:
        super().__init__(exact, nodes=nodes, changed=changed)
        self.config, self._lists = config, lists

    def part(self, name: str) -> Part:
        arrays = stored_arrays(self)
        if self._lists is not None:
            arrays["lists"] = faiss.serialize_index(self._lists)
        return Part(name=name, kind="ivf-pq", config=asdict(self.config), arrays=arrays)

    @classmethod
    def from_part(cls, part: Part) -> "IvfPqIndex":
        """Raises BundleError: the bytes are no lists, or those of other vectors."""
        a, exact, lists = part.arrays, stored_exact(part), None
        if "lists" in a:
            lists = read_faiss(a["lists"], part.name, what="lists")
            if (lists.ntotal, lists.d) != (len(a["nodes"]), exact.vectors.shape[1]):
                raise BundleError(
                    f"lists of {lists.ntotal} x {lists.d} do not fit vectors of {exact.vectors.shape}; build it again"
                )
        return cls(IvfPqConfig(**part.config), exact, lists=lists, nodes=a["nodes"], changed=a["changed"])

    def over(self, exact: ExactIndex, *, changed: Flags) -> "IvfPqIndex":
        return IvfPqIndex(self.config, exact, lists=self._lists, nodes=self.nodes, changed=changed)

    def _candidates(self, queries: Vectors, indexed: Sequence[Flags], *, k: int) -> list[Rows]:
        return [self._query_candidates(query, flags, k=k) for query, flags in zip(queries, indexed, strict=True)]

    def _query_candidates(self, query: Vectors, indexed: Flags, *, k: int) -> Rows:
        """Rows with codes near the query, or all where these are few."""
        count, nprobe = self.config.refine_factor * k, self.config.nprobe
        if self._lists is None or count >= np.count_nonzero(indexed):
            return np.flatnonzero(indexed)
        bitmap = self._unfiltered if indexed is self._indexed else self._bitmap(indexed)
        while nprobe < self._lists.nlist:
            rows = self._nearest(query, count, nprobe=nprobe, bitmap=bitmap)
            if len(rows) == count:
                return rows
            nprobe *= 4
        return np.flatnonzero(indexed)

    @cached_property
    def _unfiltered(self) -> NDArray[np.uint8]:
        """The bitmap of a query without a filter: to make that of a million rows takes longer than the search."""
        return self._bitmap(self._indexed)

    def _bitmap(self, indexed: Flags) -> NDArray[np.uint8]:
        every = len(self.nodes) == len(indexed)  # in row order: nothing to gather
        return np.packbits(indexed if every else indexed[self.nodes], bitorder="little")

    def _nearest(self, query: Vectors, count: int, *, nprobe: int, bitmap: Any) -> Rows:
        """Up to `count` of the rows in `bitmap`, from the `nprobe` nearest lists."""
        kinds: Any = faiss  # its stubs know neither
        parameters = kinds.SearchParametersIVF(nprobe=nprobe, sel=kinds.IDSelectorBitmap(bitmap))
        assert self._lists is not None
        _, nodes = self._lists.search(query[None], count, params=parameters)
        return self.nodes[nodes[nodes >= 0]]


def build_ivf_pq(config: IvfPqConfig, vectors: Vectors, *, known: Flags) -> IvfPqIndex:
    """Lists and codes learned from the known rows; the same vectors always give the same ones."""
    exact = ExactIndex(ExactConfig(), vectors, known=known)
    indexed = indexable(exact)
    nodes = np.flatnonzero(indexed)
    if len(nodes) < config.min_rows:
        return IvfPqIndex(config, exact, lists=None, nodes=nodes, changed=~indexed)
    dim = exact.vectors.shape[1]
    pq_m = max(number for number in range(1, min(config.pq_m, dim) + 1) if dim % number == 0)
    nlist = max(1, min(config.nlist, len(nodes) // ROWS_PER_CENTROID))
    lists = faiss.IndexIVFPQ(faiss.IndexFlatIP(dim), dim, nlist, pq_m, config.pq_bits, faiss.METRIC_INNER_PRODUCT)
    lists.cp.min_points_per_centroid = lists.pq.cp.min_points_per_centroid = 1  # few rows are no reason to warn
    with one_thread():
        lists.train(exact.vectors[nodes])
        lists.add(exact.vectors[nodes])
    return IvfPqIndex(config, exact, lists=lists, nodes=nodes, changed=~indexed)
