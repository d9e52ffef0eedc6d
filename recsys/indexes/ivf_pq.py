"""Vectors in lists, a few bytes each (IVF-PQ), for catalogues whose graph would take too long to build or too much memory.

Source: Jégou, Douze and Schmid, "Product quantization for nearest neighbor search" (PAMI 2011), through FAISS. The codes alone
rank roughly, so they only propose: `factor` times as many rows as are wanted, whose exact inner products then decide ("refine").

A filter goes into the search of the lists. Where the lists looked at hold too few allowed rows, four times as many are looked at,
up to where comparing all allowed rows costs less.
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

PER_CENTRE = 39
"""Rows that FAISS wants to learn one centre from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IvfPqConfig:
    """`lists` that rows are sorted into (fewer where there are few rows), `codes` bytes a vector of 2^`bits` values each.

    A search looks into `probe` lists and refines `factor` times as many rows as are wanted. Below `least` rows all are compared.
    """

    lists: int = 1024
    codes: int = 64
    bits: int = 8
    probe: int = 32
    factor: int = 20
    least: int = 10_000

    def __post_init__(self) -> None:
        for name in ("lists", "codes", "probe", "factor", "least"):
            if getattr(self, name) < 1:
                raise InvalidRequest(f"{name}={getattr(self, name)}: at least 1")
        if not 4 <= self.bits <= 8:
            raise InvalidRequest(f"bits={self.bits}: a code has 4 to 8")


class IvfPqIndex(AnnIndex):
    """`lists` holds the codes of `nodes`; None where there are too few rows to learn codes from."""

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
        """Raises BundleError: the lists are none, or belong to other vectors."""
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

    def _proposed(self, queries: Vectors, drawn: Sequence[Flags], *, k: int) -> list[Rows]:
        return [self._proposed_to(query, flags, k=k) for query, flags in zip(queries, drawn, strict=True)]

    def _proposed_to(self, query: Vectors, drawn: Flags, *, k: int) -> Rows:
        """Those whose codes are near the query's, or all where these are few."""
        wanted, probe = self.config.factor * k, self.config.probe
        if self._lists is None or wanted >= np.count_nonzero(drawn):
            return np.flatnonzero(drawn)
        kept = self._every if drawn is self._drawn else self._bits(drawn)
        while probe < self._lists.nlist:
            rows = self._nearest(query, wanted, probe=probe, kept=kept)
            if len(rows) == wanted:
                return rows
            probe *= 4
        return np.flatnonzero(drawn)

    @cached_property
    def _every(self) -> NDArray[np.uint8]:
        """The bits of a question without a filter: of a million rows they take longer than the search."""
        return self._bits(self._drawn)

    def _bits(self, drawn: Flags) -> NDArray[np.uint8]:
        every = len(self.nodes) == len(drawn)  # in row order: nothing to pick out
        return np.packbits(drawn if every else drawn[self.nodes], bitorder="little")

    def _nearest(self, query: Vectors, wanted: int, *, probe: int, kept: Any) -> Rows:
        """Up to `wanted` of the rows that the bits of `kept` mark, from the `probe` nearest lists."""
        kinds: Any = faiss  # its stubs know neither
        view = kinds.SearchParametersIVF(nprobe=probe, sel=kinds.IDSelectorBitmap(kept))
        assert self._lists is not None
        _, nodes = self._lists.search(query[None], wanted, params=view)
        return self.nodes[nodes[nodes >= 0]]


def build_ivf_pq(config: IvfPqConfig, vectors: Vectors, *, known: Flags) -> IvfPqIndex:
    """Lists and codes learned from the known rows; the same vectors always give the same ones."""
    exact = ExactIndex(ExactConfig(), vectors, known=known)
    drawn = indexable(exact)
    nodes = np.flatnonzero(drawn)
    if len(nodes) < config.least:
        return IvfPqIndex(config, exact, lists=None, nodes=nodes, changed=~drawn)
    dim = exact.vectors.shape[1]
    codes = max(number for number in range(1, min(config.codes, dim) + 1) if dim % number == 0)
    count = max(1, min(config.lists, len(nodes) // PER_CENTRE))
    lists = faiss.IndexIVFPQ(faiss.IndexFlatIP(dim), dim, count, codes, config.bits, faiss.METRIC_INNER_PRODUCT)
    lists.cp.min_points_per_centroid = lists.pq.cp.min_points_per_centroid = 1  # few rows are no reason to warn
    with one_thread():
        lists.train(exact.vectors[nodes])
        lists.add(exact.vectors[nodes])
    return IvfPqIndex(config, exact, lists=lists, nodes=nodes, changed=~drawn)
