"""When an index is stale, the index that replaces it, and the replay of changes made during the build.

A graph cannot lose rows, and new rows are a delta that is compared one by one. Both cost every search a little more, so once
they are many a new graph is built over the active rows, while the old one goes on answering.
"""

import numpy as np

from recsys.indexes.ann import AnnIndex
from recsys.indexes.build import IndexConfig, build
from recsys.indexes.exact import ExactConfig, ExactIndex
from recsys.indexes.funnel import FunnelIndex
from recsys.indexes.hnsw import HnswIndex
from recsys.indexes.index import Flags, Index
from recsys.indexes.ivf_pq import IvfPqIndex

MIN_STALE_ROWS = 1000
MAX_STALE_SHARE = 0.05
"""An index is stale when its delta, or the dead rows in its graph, are more than both `MIN_STALE_ROWS` and this share of it."""


def is_stale(index: Index, active: Flags, *, suits: IndexConfig) -> bool:
    """Whether a new index would search the `active` rows faster (`MAX_STALE_SHARE`), or an exact one has outgrown its kind."""
    if isinstance(index, ExactIndex):
        return suits != ExactConfig() and index.config == ExactConfig()
    if not isinstance(index, AnnIndex):
        return False
    active = _resized(active, len(index.known)) & index.known
    indexed = np.zeros(len(index.known), dtype=np.bool_)
    indexed[index.nodes] = True
    indexed &= ~index.changed
    delta, alive = int(np.count_nonzero(active & ~indexed)), int(np.count_nonzero(active & indexed))
    return max(delta, len(index.nodes) - alive) > max(MIN_STALE_ROWS, MAX_STALE_SHARE * len(index.nodes))


def rebuild(index: Index, active: Flags, *, suits: IndexConfig) -> Index:
    """A new index over the vectors of `index`. Its graph has the `active` rows; the other known rows are its delta."""
    config = index.config if isinstance(index, HnswIndex | IvfPqIndex) else suits
    fresh = build(config, index.vectors, known=index.known & _resized(active, len(index.known)))
    return replay(fresh, before=index, now=index)


def replay(fresh: Index, *, before: Index, now: Index) -> Index:
    """`fresh`, which was built from `before`, with the changes from `before` to `now`."""
    if isinstance(fresh, FunnelIndex):  # nothing in it takes long
        return build(fresh.config, now.vectors, known=now.known)
    if not isinstance(fresh, AnnIndex):
        return now
    changed = np.ones(len(now.known), dtype=np.bool_)
    changed[: len(fresh.changed)] = fresh.changed
    if now is not before:
        same = len(before.vectors)
        changed[:same] |= (now.vectors[:same] != before.vectors).any(axis=1)
    exact = now.exact if isinstance(now, AnnIndex) else ExactIndex(ExactConfig(), now.vectors, known=now.known)
    return fresh.over(exact, changed=changed)


def _resized(flags: Flags, size: int) -> Flags:
    """`flags` truncated to `size`, or padded with False."""
    out = np.zeros(size, dtype=np.bool_)
    out[: min(size, len(flags))] = flags[:size]
    return out
