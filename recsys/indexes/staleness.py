"""When an index has aged, the one that takes its place, and how it takes in what was written while it was built.

A graph cannot lose rows, and new ones stand beside it and are compared one by one. Both cost every search a little more, so
once they are many a new graph is built over the rows that are shown, while the old one goes on answering.
"""

import numpy as np

from recsys.indexes.ann import AnnIndex
from recsys.indexes.build import IndexConfig, build
from recsys.indexes.exact import ExactConfig, ExactIndex
from recsys.indexes.funnel import FunnelIndex
from recsys.indexes.hnsw import HnswIndex
from recsys.indexes.index import Flags, Index
from recsys.indexes.ivf_pq import IvfPqIndex

LEAST = 1000
SHARE = 0.05
"""An index has aged when more rows than both `LEAST` and this share of its graph stand beside it, or are dead inside it."""


def is_stale(index: Index, shown: Flags, *, suits: IndexConfig) -> bool:
    """Whether a new one would answer `shown` rows quicker: see `SHARE`; or an exact one has grown beyond where that `suits`."""
    if isinstance(index, ExactIndex):
        return suits != ExactConfig() and index.config == ExactConfig()
    if not isinstance(index, AnnIndex):
        return False
    shown = _upto(shown, len(index.known)) & index.known
    drawn = np.zeros(len(index.known), dtype=np.bool_)
    drawn[index.nodes] = True
    drawn &= ~index.changed
    beside, alive = int(np.count_nonzero(shown & ~drawn)), int(np.count_nonzero(shown & drawn))
    return max(beside, len(index.nodes) - alive) > max(LEAST, SHARE * len(index.nodes))


def rebuild(index: Index, shown: Flags, *, suits: IndexConfig) -> Index:
    """A new index over the vectors of `index`. Its graph holds the `shown` rows; others are still known, beside it."""
    config = index.config if isinstance(index, HnswIndex | IvfPqIndex) else suits
    fresh = build(config, index.vectors, known=index.known & _upto(shown, len(index.known)))
    return replay(fresh, before=index, now=index)


def replay(fresh: Index, *, before: Index, now: Index) -> Index:
    """`fresh`, which was built from `before`, with what has become of that since: `now`."""
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


def _upto(flags: Flags, size: int) -> Flags:
    """`flags` cut to `size`, or filled with False."""
    out = np.zeros(size, dtype=np.bool_)
    out[: min(size, len(flags))] = flags[:size]
    return out
