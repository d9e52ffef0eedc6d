"""Indexes that take long to build, kept as files from one start to the next.

A kept one is used again if its settings and space are those wanted. Vectors that differ by now stand beside it; where they have
become many it has aged, and is built anew.
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
    config: IndexConfig, vectors: Vectors, *, known: Flags, space: Space, folder: Path | None, name: str
) -> Index:
    """As `build`, through the file of `name` and size in `folder`, where one is given and the kind takes long to build.

    There is one file for each name and size, that of the encoder which was started last. A file that cannot be read is told in
    the log and built again; one that cannot be written leaves the next start to build it.
    """
    path = None if folder is None else folder / f"{name}-{space.layers}x{space.dims}.index"
    if path is not None and path.exists():
        try:
            held = _over(load(path, space=space), vectors, known)
            if held is not None and held.config == config and not is_stale(held, known, suits=config):
                return held
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


def _over(held: Index, vectors: Vectors, known: Flags) -> HnswIndex | IvfPqIndex | None:
    """`held` beside the vectors of today; None where it proposes nothing or some of its rows are no more."""
    if not isinstance(held, HnswIndex | IvfPqIndex) or len(held.known) > len(known):
        return None
    same = len(held.vectors)
    changed = np.ones(len(known), dtype=np.bool_)
    changed[:same] = held.changed | (held.vectors != vectors[:same]).any(axis=1)
    return held.over(ExactIndex(ExactConfig(), vectors, known=known), changed=changed)
