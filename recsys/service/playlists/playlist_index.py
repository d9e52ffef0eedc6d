"""The stored lists as they are searched: a vector each by every encoder that was asked for, in step with the store."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import Rows
from recsys.indexes.build import EXACT_ROWS, IndexConfig, build
from recsys.indexes.exact import ExactConfig
from recsys.indexes.index import Index
from recsys.indexes.ivf_pq import IvfPqConfig
from recsys.service.playlists.vectorizers import ListVectorizer
from recsys.service.state.catalogue import Catalogue
from recsys.store import Store
from recsys.store.records import Playlist

LARGE = IvfPqConfig(nlist=2048, pq_m=64, nprobe=24, refine_factor=40)


def suited_to_lists(count: int) -> IndexConfig:
    """Exact while that is quick; beyond, what is built within a minute or two of a million, for a service that starts."""
    return ExactConfig() if count <= EXACT_ROWS else LARGE


@dataclass(frozen=True, slots=True, eq=False)
class PlaylistSnapshot:
    """Row r of every index is list r of `lists`, whose titles are the names; `lengths` counts items."""

    lists: Catalogue
    active: NDArray[np.bool_]
    lengths: NDArray[np.int64]
    indexes: MappingProxyType[str, Index]


class PlaylistIndex:
    """Any number of threads may ask; what was written before a question is part of its answer.

    A vectorizer encodes all lists when it is first used, and afterwards only those that were written, or that hold an item with
    another vector than before. One of another state replaces the one of its name, whose index is dropped.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._version = store, -1
        self._lock = threading.RLock()
        self._now = PlaylistSnapshot(
            Catalogue(), np.empty(0, dtype=np.bool_), np.empty(0, dtype=np.int64), MappingProxyType({})
        )
        self._vectorizers: dict[str, ListVectorizer] = {}

    def now(self, vectorizer: ListVectorizer) -> PlaylistSnapshot:
        """The lists with an index for `vectorizer.key`."""
        with self._lock:
            if (version := self._store.changes()) != self._version:
                self._apply(self._store.playlists_since(self._version))
                self._version = version
            before = self._vectorizers.get(vectorizer.key)
            if before is None:
                self._drop([key for key, other in self._vectorizers.items() if other.name == vectorizer.name])
            if before is None or (items := vectorizer.changed_items(before)):
                changed = self._store.playlists_since(-1) if before is None else self._holding(items)
                self._now = replace(self._now, indexes=self._with_vectors(vectorizer, changed))
            self._vectorizers[vectorizer.key] = vectorizer
            return self._now

    def last_known(self, vectorizer: ListVectorizer) -> PlaylistSnapshot | None:
        """The lists as they were when the store last answered; None where `vectorizer` has not encoded them."""
        with self._lock:
            return self._now if vectorizer.key in self._now.indexes else None

    def _drop(self, keys: Sequence[str]) -> None:
        self._vectorizers = {key: other for key, other in self._vectorizers.items() if key not in keys}
        indexes = {key: index for key, index in self._now.indexes.items() if key not in keys}
        self._now = replace(self._now, indexes=MappingProxyType(indexes))

    def _holding(self, item_ids: Sequence[str]) -> list[Playlist]:
        ids = (playlist_id for item_id in item_ids for playlist_id in self._store.playlists_holding(item_id))
        return [self._store.playlist(playlist_id) for playlist_id in dict.fromkeys(ids)]

    def _apply(self, written: Sequence[Playlist]) -> None:
        """Adds lists that were written; where fewer are stored than known here, removes those that are gone."""
        lists, now = self._now.lists, self._now
        if written:
            rows = lists.upsert([(playlist.playlist_id, playlist.name, None) for playlist in written])
            lengths = np.zeros(len(lists), dtype=np.int64)
            lengths[: len(now.lengths)] = now.lengths
            lengths[rows] = [len(playlist.item_ids) for playlist in written]
            self._now = replace(now, lengths=lengths, active=lists.active)
            for key in now.indexes:
                self._now = replace(self._now, indexes=self._with_vectors(self._vectorizers[key], written))
        if int(lists.active.sum()) != self._store.playlist_count():
            stored = set(self._store.playlist_ids())
            gone = [lists.item_ids[row] for row in np.flatnonzero(lists.active) if lists.item_ids[row] not in stored]
            lists.delete(gone)
            rows = lists.rows(gone)
            indexes = {key: index.without(rows) for key, index in self._now.indexes.items()}
            self._now = replace(self._now, indexes=MappingProxyType(indexes), active=lists.active)

    def _with_vectors(self, vectorizer: ListVectorizer, written: Sequence[Playlist]) -> MappingProxyType[str, Index]:
        """The indexes with vectors of `written` as `vectorizer` makes them."""
        vectors = vectorizer.encode(written)
        rows: Rows = self._now.lists.rows(playlist.playlist_id for playlist in written)
        has_vector = np.abs(vectors).max(axis=1, initial=0) > 0
        index = self._now.indexes.get(vectorizer.key)
        if index is None:
            every = np.zeros((len(self._now.lists), vectors.shape[1]), dtype=np.float32)
            known = np.zeros(len(every), dtype=np.bool_)
            every[rows], known[rows] = vectors, has_vector
            index = build(suited_to_lists(len(every)), every, known=known)
        else:
            index = index.with_rows(rows, vectors)  # all of them, for it has a row for each list
            index = index.without(rows[~has_vector])
        return MappingProxyType({**self._now.indexes, vectorizer.key: index})
