"""The funnel: the first numbers of nested (Matryoshka) vectors select a shortlist, the whole vectors rank it.

Source: Matryoshka Representation Learning (arXiv:2205.13147), section 4.3.1, adaptive retrieval. For unit vectors: prefixes are
normalised anew, or the longer ones would win. They are a contiguous copy: products with a view of the whole vectors would
load all of these. Nothing is trained and nothing grows stale, so a change costs what it costs the exact index.
"""

from dataclasses import asdict, dataclass

import numpy as np

from recsys.bundle import Part
from recsys.encoders.normalize import l2_normalize
from recsys.errors import InvalidRequest
from recsys.indexes.ann import inner_products, stored_exact
from recsys.indexes.exact import ExactConfig, ExactIndex
from recsys.indexes.index import (
    Allowed,
    Flags,
    Rows,
    SearchResult,
    Vectors,
    empty_result,
    nth_largest,
    read_only,
    top_k,
    write_row,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelConfig:
    """The first `dims` numbers select the shortlist: `factor` times `k` rows, at least `shortlist`."""

    dims: int = 64
    shortlist: int = 200
    factor: int = 20

    def __post_init__(self) -> None:
        for name in ("dims", "shortlist", "factor"):
            if getattr(self, name) < 1:
                raise InvalidRequest(f"{name}={getattr(self, name)}: a funnel needs at least 1")


class FunnelIndex:
    """An exact index, and the prefixes of its vectors."""

    def __init__(self, config: FunnelConfig, exact: ExactIndex, *, prefixes: Vectors | None = None) -> None:
        if config.dims > exact.vectors.shape[1]:
            raise InvalidRequest(f"dims={config.dims}: these vectors have 1 to {exact.vectors.shape[1]}")
        self.config, self.exact = config, exact
        self._prefixes = read_only(l2_normalize(exact.vectors[:, : config.dims]) if prefixes is None else prefixes)

    @property
    def vectors(self) -> Vectors:
        return self.exact.vectors

    @property
    def known(self) -> Flags:
        return self.exact.known

    def search(self, queries: Vectors, *, k: int, allowed: Allowed | None = None) -> SearchResult:
        result = empty_result(len(queries), k=k)
        for i, query in enumerate(queries):
            flags = self.known if allowed is None else self.known & allowed[i]
            rows = self._shortlist(query, flags, size=max(self.config.shortlist, self.config.factor * k))
            write_row(result, i, *top_k(rows, inner_products(self.vectors, query, rows), k=k))
        return result

    def with_rows(self, rows: Rows, vectors: Vectors) -> "FunnelIndex":
        exact = self.exact.with_rows(rows, vectors)
        prefixes = np.zeros((len(exact.known), self.config.dims), dtype=np.float32)
        prefixes[: len(self._prefixes)] = self._prefixes
        prefixes[rows] = l2_normalize(vectors[:, : self.config.dims])
        return FunnelIndex(self.config, exact, prefixes=prefixes)

    def without(self, rows: Rows) -> "FunnelIndex":
        return FunnelIndex(self.config, self.exact.without(rows), prefixes=self._prefixes)

    def part(self, name: str) -> Part:
        """Without the prefixes, which are made again."""
        arrays = {"vectors": self.vectors, "known": self.known}
        return Part(name=name, kind="funnel", config=asdict(self.config), arrays=arrays)

    @classmethod
    def from_part(cls, part: Part) -> "FunnelIndex":
        return cls(FunnelConfig(**part.config), stored_exact(part))

    def _shortlist(self, query: Vectors, flags: Flags, *, size: int) -> Rows:
        """The `size` rows of `flags` with the nearest prefixes, and those that tie with the last of them."""
        if size >= np.count_nonzero(flags) or not np.isfinite(query).all():
            return np.flatnonzero(flags)
        scores = self._prefixes @ query[: self.config.dims]
        scores[~flags] = -np.inf
        return np.flatnonzero(scores >= nth_largest(scores, size))


def build_funnel(config: FunnelConfig, vectors: Vectors, *, known: Flags) -> FunnelIndex:
    """The funnel over `vectors` (rows, dim)."""
    return FunnelIndex(config, ExactIndex(ExactConfig(), vectors, known=known))
