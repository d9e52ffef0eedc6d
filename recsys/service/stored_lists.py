"""The stored lists as they are searched: a vector each by every encoder that was asked for, in step with the store."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from recsys.data.catalogue import Catalogue
from recsys.data.history import Rows
from recsys.indexes.build import build, suited
from recsys.indexes.index import Index
from recsys.store import Store
from recsys.store.records import Playlist

Encode = Callable[[Sequence[Playlist]], NDArray[np.float32]]
"""Vectors (lists, dim) of stored lists; zeros for one that has no direction."""


@dataclass(frozen=True, slots=True, eq=False)
class ListsNow:
    """Row r of every index is list r of `lists`, whose titles are the names; `lengths` counts items."""

    lists: Catalogue
    active: NDArray[np.bool_]
    lengths: NDArray[np.int64]
    indexes: MappingProxyType[str, Index]


class StoredLists:
    """Any number of threads may ask; what was written before a question is part of its answer.

    `encode` has an encoding for each key. Vectors are made when a key is first asked for, and of a written list alone after.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._version = store, -1
        self._lock = threading.RLock()
        self._now = ListsNow(
            Catalogue(), np.empty(0, dtype=np.bool_), np.empty(0, dtype=np.int64), MappingProxyType({})
        )
        self._encode: dict[str, Encode] = {}

    def now(self, key: str, encode: Encode) -> ListsNow:
        """The lists with an index for `key`, which names what `encode` computes."""
        with self._lock:
            if (counted := self._store.changes()) != self._version:
                self._take(self._store.playlists_since(self._version))
                self._version = counted
            if key not in self._now.indexes:
                self._encode[key] = encode
                self._now = replace(self._now, indexes=self._with(key, self._all()))
            return self._now

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
                self._now = replace(self._now, indexes=self._with(key, written))
        if int(lists.active.sum()) != self._store.playlist_count():
            stored = set(self._store.playlist_ids())
            gone = [lists.item_ids[row] for row in np.flatnonzero(lists.active) if lists.item_ids[row] not in stored]
            lists.delete(gone)
            rows = lists.rows(gone)
            indexes = {key: index.without(rows) for key, index in self._now.indexes.items()}
            self._now = replace(self._now, indexes=MappingProxyType(indexes), active=lists.active)

    def _with(self, key: str, written: Sequence[Playlist]) -> MappingProxyType[str, Index]:
        """The indexes with vectors of `written` under `key`."""
        vectors = self._encode[key](written)
        rows: Rows = self._now.lists.rows(one.playlist_id for one in written)
        told = np.abs(vectors).max(axis=1, initial=0) > 0
        index = self._now.indexes.get(key)
        if index is None:
            every = np.zeros((len(self._now.lists), vectors.shape[1]), dtype=np.float32)
            known = np.zeros(len(every), dtype=np.bool_)
            every[rows], known[rows] = vectors, told
            index = build(suited(len(every)), every, known=known)
        else:
            index = index.without(rows[~told]).with_rows(rows[told], vectors[told])
        return MappingProxyType({**self._now.indexes, key: index})

    def _all(self) -> list[Playlist]:
        return self._store.playlists_since(-1)
