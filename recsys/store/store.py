"""The store: one object for everything that is stored in SQL."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, func, select

from recsys.errors import RecsysError
from recsys.store import bundles, events, impressions, items, playlists, vectors
from recsys.store.erasing import Eraser
from recsys.store.records import (
    LAST_LAYER,
    Activation,
    BundleRecord,
    Counts,
    Event,
    EventDraft,
    HistoryEvent,
    Impression,
    Item,
    ItemDraft,
    KindCount,
    Playlist,
    VectorOwner,
)
from recsys.store.sessions import check_migrated, connect, reading
from recsys.store.tables import changes
from recsys.store.tables import events as event_table
from recsys.store.tables import items as item_table
from recsys.store.tables import playlists as playlist_table
from recsys.store.tables import users as user_table
from recsys.store.writing import Writer


class Store:
    """Thread-safe; each method is one transaction. Its errors are documented with the function that it calls."""

    def __init__(self, readers: Engine, writer: Writer) -> None:
        self._readers, self._writer = readers, writer
        self._eraser = Eraser(writer.engine)

    @classmethod
    def open(cls, url: str) -> Self:
        """Raises NotReady: not migrated; StoreError: not reachable."""
        readers = connect(url)
        try:
            check_migrated(readers)
        except RecsysError:
            readers.dispose()
            raise
        return cls(readers, Writer(connect(url, for_writes=True)))

    def close(self) -> None:
        self._writer.close()
        self._readers.dispose()

    def put_items(self, drafts: Sequence[ItemDraft]) -> list[Item]:
        return self._writer.run(lambda c: items.put_items(c, drafts))

    def set_availability(self, available: Mapping[str, bool]) -> int:
        return self._writer.run(lambda c: items.set_availability(c, available))

    def item(self, item_id: str) -> Item:
        with reading(self._readers) as connection:
            return items.active_item(connection, item_id)

    def active_items(self, item_ids: Sequence[str]) -> list[Item]:
        with reading(self._readers) as connection:
            return items.active_items(connection, item_ids)

    def delete_item(self, item_id: str) -> None:
        self._writer.run(lambda c: items.delete_item(c, item_id))

    def items(self) -> Iterator[list[Item]]:
        """Pages by number, deleted items too."""
        return items.all_items(self._readers)

    def items_since(self, version: int) -> list[Item]:
        with reading(self._readers) as connection:
            return items.items_since(connection, version)

    def find_items(self, text: str, *, limit: int) -> list[Item]:
        with reading(self._readers) as connection:
            return items.find_items(connection, text, limit=limit)

    def known_items(self, item_ids: Sequence[str]) -> set[str]:
        with reading(self._readers) as connection:
            return items.known_items(connection, item_ids)

    def changed_drafts(self, drafts: Sequence[ItemDraft]) -> list[ItemDraft]:
        with reading(self._readers) as connection:
            return items.changed_drafts(connection, drafts)

    def item_counts(self, kinds: Sequence[str], *, least: float = 0.0) -> dict[str, int]:
        with reading(self._readers) as connection:
            return items.item_counts(connection, kinds, least=least)

    def add_events(self, drafts: Sequence[EventDraft]) -> list[Event]:
        return self._writer.run(lambda c: events.add_events(c, drafts))

    def insert_events(self, rows: Sequence[Mapping[str, Any]]) -> int:
        return self._writer.run(lambda c: events.insert_events(c, rows))

    def stored_events(self, event_ids: Sequence[str]) -> list[Event]:
        with reading(self._readers) as connection:
            return events.stored_events(connection, event_ids)

    def recent_events(self, user_id: str, *, limit: int) -> list[Event]:
        with reading(self._readers) as connection:
            return events.recent_events(connection, user_id, limit=limit)

    def histories(self, user_ids: Sequence[str], *, limit: int) -> dict[str, list[HistoryEvent]]:
        with reading(self._readers) as connection:
            return events.histories(connection, user_ids, limit=limit)

    def events_mark(self, user_id: str) -> tuple[int, int]:
        with reading(self._readers) as connection:
            return events.events_mark(connection, user_id)

    def kind_counts(self) -> list[KindCount]:
        with reading(self._readers) as connection:
            return events.kind_counts(connection)

    def delete_event(self, event_id: str) -> None:
        self._writer.run(lambda c: events.delete_event(c, event_id))

    def delete_user(self, user_id: str) -> None:
        self._writer.run(lambda c: events.delete_user(c, user_id))
        self._eraser.erase()

    def users(self, *, after: str | None = None, limit: int = 1000) -> list[str]:
        with reading(self._readers) as connection:
            return events.user_page(connection, after=after, limit=limit)

    def put_playlist(self, playlist_id: str, name: str | None, item_ids: Sequence[str]) -> Playlist:
        return self._writer.run(lambda c: playlists.put_playlist(c, playlist_id, name, item_ids))

    def put_playlists(self, lists: Sequence[Playlist]) -> None:
        """Inserts or replaces all of the lists or none."""
        self._writer.run(lambda c: playlists.put_playlists(c, lists))

    def stored_playlists(self, playlist_ids: Sequence[str]) -> dict[str, Playlist]:
        with reading(self._readers) as connection:
            return playlists.stored_playlists(connection, playlist_ids)

    def playlist(self, playlist_id: str) -> Playlist:
        with reading(self._readers) as connection:
            return playlists.playlist(connection, playlist_id)

    def playlists_since(self, version: int) -> list[Playlist]:
        with reading(self._readers) as connection:
            return playlists.playlists_since(connection, version)

    def playlist_ids(self, *, after: str | None = None, limit: int | None = None) -> list[str]:
        with reading(self._readers) as connection:
            return playlists.playlist_ids(connection, after=after, limit=limit)

    def playlist_count(self) -> int:
        with reading(self._readers) as connection:
            return playlists.playlist_count(connection)

    def playlists_holding(self, item_id: str) -> list[str]:
        with reading(self._readers) as connection:
            return playlists.playlists_holding(connection, item_id)

    def delete_playlist(self, playlist_id: str) -> None:
        self._writer.run(lambda c: playlists.delete_playlist(c, playlist_id))

    def save_vectors(
        self,
        part_hash: str,
        new: Mapping[tuple[str, str], NDArray[np.float32]],
        *,
        layer: int = LAST_LAYER,
        owner: VectorOwner = "item",
    ) -> None:
        self._writer.run(lambda c: vectors.save_vectors(c, part_hash, new, layer=layer, owner=owner), counted=False)

    def vectors(
        self,
        part_hash: str,
        ids: Sequence[str],
        *,
        layer: int = LAST_LAYER,
        owner: VectorOwner = "item",
    ) -> dict[tuple[str, str], NDArray[np.float32]]:
        with reading(self._readers) as connection:
            return vectors.load_vectors(connection, part_hash, ids, layer=layer, owner=owner)

    def add_bundle(self, uri: str, manifest: Mapping[str, Any]) -> None:
        self._writer.run(lambda c: bundles.add_bundle(c, uri, manifest))

    def activate_bundle(self, uri: str) -> BundleRecord:
        return self._writer.run(lambda c: bundles.activate_bundle(c, uri))

    def activation(self) -> Activation | None:
        with reading(self._readers) as connection:
            return bundles.activation(connection)

    def rollback_bundle(self) -> BundleRecord:
        return self._writer.run(lambda c: bundles.rollback_bundle(c))

    def active_bundle(self) -> BundleRecord | None:
        with reading(self._readers) as connection:
            return bundles.active_bundle(connection)

    def bundles(self) -> list[BundleRecord]:
        with reading(self._readers) as connection:
            return bundles.all_bundles(connection)

    def add_impressions(self, new: Sequence[Impression]) -> None:
        self._writer.run(lambda c: impressions.add_impressions(c, new), counted=False)

    def tidy(self, *, impression_days: int) -> None:
        """Deletes some of the impressions older than `impression_days`, and what deletions left behind: a little at each call."""
        with reading(self._readers) as connection:
            prunable = impressions.is_prunable(connection, days=impression_days)
        if prunable:
            self._writer.run(lambda c: impressions.prune(c, days=impression_days), counted=False)
        self._eraser.tidy()

    def changes(self) -> int:
        """A counter that every write raises on which an answer may depend."""
        with reading(self._readers) as connection:
            return int(connection.scalar(select(changes.c.counter)) or 0)

    def counts(self) -> Counts:
        """Rows in the store, deleted items not counted."""
        tables = (item_table, user_table, event_table, playlist_table)
        with reading(self._readers) as connection:
            item, user, event, playlist = (
                connection.scalar(
                    select(func.count()).select_from(table).where(*([table.c.active] if table is item_table else []))
                )
                or 0
                for table in tables
            )
        return Counts(item, user, event, playlist)


def read_connection(store: Store) -> AbstractContextManager[Connection]:
    """A connection for queries of this package that are no method of the store."""
    return reading(store._readers)
