"""The exact index: every inner product, computed in blocks."""

from dataclasses import asdict, dataclass

import numpy as np

from recsys.bundle import Part
from recsys.errors import InvalidRequest
from recsys.indexes.index import (
    Allowed,
    Flags,
    Rows,
    SearchResult,
    Vectors,
    empty_result,
    extended,
    read_only,
    top_k,
    write_row,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactConfig:
    """At most `at_once` scores are in memory, four bytes each, or the scores of one query."""

    at_once: int = 16_000_000

    def __post_init__(self) -> None:
        if self.at_once < 1:
            raise InvalidRequest(f"at_once={self.at_once}: at least one score must fit into memory")


class ExactIndex:
    """A dense product with all vectors. A change copies what it changes: the vectors on adding, the flags on deleting."""

    def __init__(self, config: ExactConfig, vectors: Vectors, *, known: Flags) -> None:
        self.config = config
        self.vectors, self.known = read_only(vectors), read_only(known)

    def search(self, queries: Vectors, *, k: int, allowed: Allowed | None = None) -> SearchResult:
        result = empty_result(len(queries), k=k)
        step = max(1, self.config.at_once // max(1, len(self.vectors)))
        for start in range(0, len(queries), step):
            dense = queries[start : start + step] @ self.vectors.T
            for i, scores in enumerate(dense, start):
                rows = np.flatnonzero(self.known if allowed is None else self.known & allowed[i])
                write_row(result, i, *top_k(rows, scores[rows], k=k))
        return result

    def with_rows(self, rows: Rows, vectors: Vectors) -> "ExactIndex":
        more, known = extended(self.vectors, self.known, rows, vectors)
        return ExactIndex(self.config, more, known=known)

    def without(self, rows: Rows) -> "ExactIndex":
        known = self.known.copy()
        known[rows[(rows >= 0) & (rows < len(known))]] = False
        return ExactIndex(self.config, self.vectors, known=known)

    def part(self, name: str) -> Part:
        arrays = {"vectors": self.vectors, "known": self.known}
        return Part(name=name, kind="exact", config=asdict(self.config), arrays=arrays)

    @classmethod
    def from_part(cls, part: Part) -> "ExactIndex":
        return cls(ExactConfig(**part.config), part.arrays["vectors"], known=part.arrays["known"])
