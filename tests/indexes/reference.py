"""The search that is too simple to be wrong, and catalogues to search in."""

import numpy as np

from recsys.indexes.build import IndexConfig, build
from recsys.indexes.exact import ExactConfig
from recsys.indexes.funnel import FunnelConfig
from recsys.indexes.hnsw import HnswConfig
from recsys.indexes.index import Flags, Index, Rows, SearchResult, Vectors
from recsys.indexes.ivf_pq import IvfPqConfig

GRAPH = HnswConfig(m=8, ef_construction=40, ef_search=16)
"""Searches its graph from a few hundred rows on."""

FUNNEL = FunnelConfig(dims=2, shortlist=60, factor=2)
"""Makes a shortlist from 61 rows on."""

QUANTISED = IvfPqConfig(nlist=8, pq_m=12, pq_bits=4, nprobe=2, refine_factor=4, min_rows=100)
"""Searches its lists from 100 rows on."""

APPROXIMATE: list[IndexConfig] = [GRAPH, FUNNEL, QUANTISED]

CONFIGS: list[IndexConfig] = [
    ExactConfig(),
    ExactConfig(at_once=1),
    HnswConfig(),
    FunnelConfig(dims=2),
    IvfPqConfig(),
    *APPROXIMATE,
]


def over(config: IndexConfig, vectors: Vectors) -> Index:
    return build(config, vectors, known=np.ones(len(vectors), dtype=np.bool_))


def brute_force(stored: dict[int, Vectors], queries: Vectors, allowed: Flags, *, k: int) -> SearchResult:
    """One row at a time; `stored` has the vector of each known row."""
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for q, query in enumerate(queries):
        ranked = sorted((-sum(query * vector), row) for row, vector in stored.items() if allowed[q, row])
        for rank, (negative, row) in enumerate(ranked[:k]):
            rows[q, rank], scores[q, rank] = row, -negative
    return SearchResult(rows, scores)


def whole(generator: np.random.Generator, rows: int, *, dim: int = 3) -> Vectors:
    """Small whole numbers: their products are exact in any order of summing, and full of ties."""
    return generator.integers(-2, 3, (rows, dim)).astype(np.float32)


def clusters(generator: np.random.Generator, rows: int, *, dim: int = 24, centres: int = 60) -> Vectors:
    middles = np.random.default_rng(99).standard_normal((centres, dim))
    spread = 0.6 * generator.standard_normal((rows, dim))
    return (middles[generator.integers(0, centres, rows)] + spread).astype(np.float32)


def recall(result: SearchResult, truth: SearchResult) -> float:
    """Share of the true best rows that were found."""
    hits = [len(np.intersect1d(a[a >= 0], b[b >= 0])) for a, b in zip(result.rows, truth.rows, strict=True)]
    return float(sum(hits) / (truth.rows >= 0).sum())


def rows_of(*numbers: int) -> Rows:
    return np.array(numbers, dtype=np.int64)
