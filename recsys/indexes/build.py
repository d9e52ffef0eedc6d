"""All kinds of index: the one that suits a number of rows, how each is built, and how a stored one is restored."""

from typing import Literal, assert_never

from recsys.bundle import Part
from recsys.errors import BundleError
from recsys.indexes.exact import ExactConfig, ExactIndex
from recsys.indexes.funnel import FunnelConfig, FunnelIndex, build_funnel
from recsys.indexes.hnsw import HnswConfig, HnswIndex, build_hnsw
from recsys.indexes.index import Flags, Index, Vectors
from recsys.indexes.ivf_pq import IvfPqConfig, IvfPqIndex, build_ivf_pq

IndexConfig = ExactConfig | HnswConfig | FunnelConfig | IvfPqConfig

Kind = Literal["auto", "exact", "funnel", "hnsw", "ivf-pq"]
"""Kinds of the settings; `auto` chooses by the number of rows."""

EXACT_ROWS = 50_000
"""Up to here an exact search takes at most a millisecond and a half with 64 dimensions."""


def suited(rows: int) -> IndexConfig:
    """Exact while that is quick, a graph beyond."""
    return ExactConfig() if rows <= EXACT_ROWS else HnswConfig()


def build(config: IndexConfig, vectors: Vectors, *, known: Flags) -> Index:
    """The index that `config` describes over `vectors` (rows, dim), of which `known` marks the real ones."""
    match config:
        case ExactConfig():
            return ExactIndex(config, vectors, known=known)
        case HnswConfig():
            return build_hnsw(config, vectors, known=known)
        case FunnelConfig():
            return build_funnel(config, vectors, known=known)
        case IvfPqConfig():
            return build_ivf_pq(config, vectors, known=known)
    assert_never(config)


def restore(part: Part) -> Index:
    """The index that was stored as `part`.

    Raises:
        BundleError: its kind is unknown here, or its arrays do not fit together.
    """
    try:
        match part.kind:
            case "exact":
                return ExactIndex.from_part(part)
            case "hnsw":
                return HnswIndex.from_part(part)
            case "funnel":
                return FunnelIndex.from_part(part)
            case "ivf-pq":
                return IvfPqIndex.from_part(part)
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise BundleError(f"index {part.name!r} does not fit its settings ({error}); build it again") from error
    raise BundleError(
        f"index {part.name!r} is of kind {part.kind!r}, unknown to this version: upgrade or build it again"
    )
