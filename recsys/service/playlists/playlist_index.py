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

MANY = IvfPqConfig(lists=2048, codes=64, probe=24, factor=40)


def suited_to_lists(count: int) -> IndexConfig:
    """Exact while that is quick; beyond, what is built within a minute or two of a million, for a service that starts."""
    return ExactConfig() if count <= EXACT_ROWS else MANY


@dataclass(frozen=True, slots=True, eq=False)
class PlaylistSnapshot:
    """Row r of every index is list r of `lists`, whose titles are the names; `lengths` counts items."""

    lists: Catalogue
    active: NDArray[np.bool_]
    lengths: NDArray[np.int64]
    indexes: MappingProxyType[str, Index]


class PlaylistIndex:
    """Any number of threads may ask; what was written before a question is part of its answer.

    A reader reads all lists when it is first met, and afterwards those alone that were written, or that hold an item which
    it reads otherwise than before. One of another bundle takes the place of that of its name: nothing of it is kept.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._version = store, -1
        self._lock = threading.RLock()
        self._now = PlaylistSnapshot(
            Catalogue(), np.empty(0, dtype=np.bool_), np.empty(0, dtype=np.int64), MappingProxyType({})
        )
        self._readers: dict[str, ListVectorizer] = {}

    def now(self, reader: ListVectorizer) -> PlaylistSnapshot:
        """The lists with an index for `reader.key`."""
        with self._lock:
            if (counted := self._store.changes()) != self._version:
                self._take(self._store.playlists_since(self._version))
                self._version = counted
            before = self._readers.get(reader.key)
            if before is None:
                self._drop([key for key, one in self._readers.items() if one.name == reader.name])
            if before is None or (items := reader.changed_items(before)):
                again = self._store.playlists_since(-1) if before is None else self._holding(items)
                self._now = replace(self._now, indexes=self._with(reader, again))
            self._readers[reader.key] = reader
            return self._now

    def _drop(self, keys: Sequence[str]) -> None:
        self._readers = {key: one for key, one in self._readers.items() if key not in keys}
        indexes = {key: index for key, index in self._now.indexes.items() if key not in keys}
        self._now = replace(self._now, indexes=MappingProxyType(indexes))

    def _holding(self, item_ids: Sequence[str]) -> list[Playlist]:
        found = dict.fromkeys(one for item_id in item_ids for one in self._store.playlists_holding(item_id))
        return [self._store.playlist(playlist_id) for playlist_id in found]

    def _take(self, written: Sequence[Playlist]) -> None:
        """Puts in what was written; where fewer lists are stored than known here, takes out those that are gone."""
        lists, now = self._now.lists, self._now
        if written:
            rows = lists.put([(one.playlist_id, one.name, None) for one in written])
            lengths = np.zeros(len(lists), dtype=np.int64)
            lengths[: len(now.lengths)] = now.lengths
            lengths[rows] = [len(one.item_ids) for one in written]
            self._now = replace(now, lengths=lengths, active=lists.active)
            for key in now.indexes:
                self._now = replace(self._now, indexes=self._with(self._readers[key], written))
        if int(lists.active.sum()) != self._store.playlist_count():
            stored = set(self._store.playlist_ids())
            gone = [lists.item_ids[row] for row in np.flatnonzero(lists.active) if lists.item_ids[row] not in stored]
            lists.delete(gone)
            rows = lists.rows(gone)
            indexes = {key: index.without(rows) for key, index in self._now.indexes.items()}
            self._now = replace(self._now, indexes=MappingProxyType(indexes), active=lists.active)

    def _with(self, reader: ListVectorizer, written: Sequence[Playlist]) -> MappingProxyType[str, Index]:
        """The indexes with vectors of `written` as `reader` reads them."""
        vectors = reader.encode(written)
        rows: Rows = self._now.lists.rows(one.playlist_id for one in written)
        told = np.abs(vectors).max(axis=1, initial=0) > 0
        index = self._now.indexes.get(reader.key)
        if index is None:
            every = np.zeros((len(self._now.lists), vectors.shape[1]), dtype=np.float32)
            known = np.zeros(len(every), dtype=np.bool_)
            every[rows], known[rows] = vectors, told
            index = build(suited_to_lists(len(every)), every, known=known)
        else:
            index = index.with_rows(rows, vectors)  # all of them, for it has a row for each list
            index = index.without(rows[~told])
        return MappingProxyType({**self._now.indexes, reader.key: index})
