"""A cache of indexes that take long to build: files that outlive the process.

A cached index is used again if it has the settings and the space of today. Vectors that have changed become its delta; where they
are many it is stale, and built anew.
"""

import logging
from pathlib import Path

import numpy as np

from recsys.errors import BundleError
from recsys.indexes.build import IndexConfig, build
from recsys.indexes.exact import ExactConfig, ExactIndex
from recsys.indexes.files import load, save
from recsys.indexes.hnsw import HnswIndex
from recsys.indexes.index import Flags, Index, Vectors
from recsys.indexes.ivf_pq import IvfPqIndex
from recsys.indexes.space import Space
from recsys.indexes.staleness import is_stale

log = logging.getLogger(__name__)


def build_or_load(
    config: IndexConfig, vectors: Vectors, *, known: Flags, space: Space, cache_dir: Path | None, name: str
) -> Index:
    """As `build`, through a file in `cache_dir` where there is one and the kind takes long to build.

    There is one file for each name and size, that of the encoder which was started last. A file that cannot be read is logged
    and replaced; one that cannot be written leaves the next start to build it.
    """
    path = None if cache_dir is None else cache_dir / f"{name}-{space.layers}x{space.dims}.index"
    if path is not None and path.exists():
        try:
            cached = _with_vectors(load(path, space=space), vectors, known)
            if cached is not None and cached.config == config and not is_stale(cached, known, suits=config):
                return cached
            log.info("%s is of other settings or too few of the items of today: built again", path)
        except BundleError as error:
            log.warning("%s", error)
    index = build(config, vectors, known=known)
    if path is not None and isinstance(index, HnswIndex | IvfPqIndex):
        try:
            save(index, path, space=space)
        except BundleError as error:
            log.warning("%s", error)
    return index


def _with_vectors(cached: Index, vectors: Vectors, known: Flags) -> HnswIndex | IvfPqIndex | None:
    """`cached` with the vectors of today; None where it is no FAISS index or some of its rows no longer exist."""
    if not isinstance(cached, HnswIndex | IvfPqIndex) or len(cached.known) > len(known):
        return None
    same = len(cached.vectors)
    changed = np.ones(len(known), dtype=np.bool_)
    changed[:same] = cached.changed | (cached.vectors != vectors[:same]).any(axis=1)
    return cached.over(ExactIndex(ExactConfig(), vectors, known=known), changed=changed)
