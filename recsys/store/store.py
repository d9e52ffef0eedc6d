"""The store: one object for everything that is stored in SQL."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, func, insert, select

from recsys.errors import RecsysError
from recsys.store import bundles, events, items, playlists, vectors
from recsys.store.records import (
    LAST_LAYER,
    BundleRecord,
    Counts,
    Event,
    EventDraft,
    Impression,
    Item,
    ItemDraft,
    Playlist,
    VectorOwner,
)
from recsys.store.sessions import check_migrated, connect, reading, writing
from recsys.store.tables import changes, impressions
from recsys.store.tables import events as event_table
from recsys.store.tables import items as item_table
from recsys.store.tables import playlists as playlist_table
from recsys.store.tables import users as user_table


class Store:
    """Thread-safe; each method is one transaction. Its errors are documented with the function that it calls."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> Self:
        """Raises NotReady: not migrated; StoreError: not reachable."""
        engine = connect(url)
        try:
            check_migrated(engine)
        except RecsysError:
            engine.dispose()
            raise
        return cls(engine)

    def close(self) -> None:
        self._engine.dispose()

    def put_items(self, drafts: Sequence[ItemDraft]) -> list[Item]:
        with writing(self._engine) as connection:
            return items.put_items(connection, drafts)

    def item(self, item_id: str) -> Item:
        with reading(self._engine) as connection:
            return items.active_item(connection, item_id)

    def delete_item(self, item_id: str) -> None:
        with writing(self._engine) as connection:
            items.delete_item(connection, item_id)

    def items(self) -> Iterator[list[Item]]:
        """Pages by number, deleted items too."""
        return items.all_items(self._engine)

    def items_since(self, version: int) -> list[Item]:
        with reading(self._engine) as connection:
            return items.items_since(connection, version)

    def find_items(self, text: str, *, limit: int) -> list[Item]:
        with reading(self._engine) as connection:
            return items.find_items(connection, text, limit=limit)

    def known_items(self, item_ids: Sequence[str]) -> set[str]:
        with reading(self._engine) as connection:
            return items.known_items(connection, item_ids)

    def content_hashes(self, item_ids: Sequence[str]) -> dict[str, str]:
        with reading(self._engine) as connection:
            return items.content_hashes(connection, item_ids)

    def item_counts(self) -> dict[str, int]:
        with reading(self._engine) as connection:
            return items.item_counts(connection)

    def add_events(self, drafts: Sequence[EventDraft]) -> list[Event]:
        with writing(self._engine) as connection:
            return events.add_events(connection, drafts)

    def insert_events(self, rows: Sequence[Mapping[str, Any]]) -> int:
        with writing(self._engine) as connection:
            return events.insert_events(connection, rows)

    def stored_events(self, event_ids: Sequence[str]) -> list[Event]:
        with reading(self._engine) as connection:
            return events.stored_events(connection, event_ids)

    def recent_events(self, user_id: str, *, limit: int) -> list[Event]:
        with reading(self._engine) as connection:
            return events.recent_events(connection, user_id, limit=limit)

    def histories(self, user_ids: Sequence[str], *, limit: int) -> dict[str, list[tuple[str, float | None]]]:
        with reading(self._engine) as connection:
            return events.histories(connection, user_ids, limit=limit)

    def events_mark(self, user_id: str) -> tuple[int, int]:
        with reading(self._engine) as connection:
            return events.events_mark(connection, user_id)

    def delete_event(self, event_id: str) -> None:
        with writing(self._engine) as connection:
            events.delete_event(connection, event_id)

    def delete_user(self, user_id: str) -> None:
        with writing(self._engine) as connection:
            events.delete_user(connection, user_id)

    def users(self, *, after: str | None = None, limit: int = 1000) -> list[str]:
        with reading(self._engine) as connection:
            return events.user_page(connection, after=after, limit=limit)

    def repeat_share(self) -> float:
        with reading(self._engine) as connection:
            return events.repeat_share(connection)

    def put_playlist(self, playlist_id: str, name: str | None, item_ids: Sequence[str]) -> Playlist:
        with writing(self._engine) as connection:
            return playlists.put_playlist(connection, playlist_id, name, item_ids)

    def put_playlists(self, lists: Sequence[Playlist]) -> None:
        """Inserts or replaces all of the lists or none."""
        with writing(self._engine) as connection:
            for new in lists:
                playlists.put_playlist(connection, new.playlist_id, new.name, new.item_ids)

    def stored_playlists(self, playlist_ids: Sequence[str]) -> dict[str, Playlist]:
        with reading(self._engine) as connection:
            return playlists.stored_playlists(connection, playlist_ids)

    def playlist(self, playlist_id: str) -> Playlist:
        with reading(self._engine) as connection:
            return playlists.playlist(connection, playlist_id)

    def playlists_since(self, version: int) -> list[Playlist]:
        with reading(self._engine) as connection:
            return playlists.playlists_since(connection, version)

    def playlist_ids(self, *, after: str | None = None, limit: int | None = None) -> list[str]:
        with reading(self._engine) as connection:
            return playlists.playlist_ids(connection, after=after, limit=limit)

    def playlist_count(self) -> int:
        with reading(self._engine) as connection:
            return playlists.playlist_count(connection)

    def playlists_holding(self, item_id: str) -> list[str]:
        with reading(self._engine) as connection:
            return playlists.playlists_holding(connection, item_id)

    def delete_playlist(self, playlist_id: str) -> None:
        with writing(self._engine) as connection:
            playlists.delete_playlist(connection, playlist_id)

    def save_vectors(
        self,
        part_hash: str,
        new: Mapping[tuple[str, str], NDArray[np.float32]],
        *,
        layer: int = LAST_LAYER,
        owner: VectorOwner = "item",
    ) -> None:
        with writing(self._engine, counted=False) as connection:
            vectors.save_vectors(connection, part_hash, new, layer=layer, owner=owner)

    def vectors(
        self,
        part_hash: str,
        ids: Sequence[str],
        *,
        layer: int = LAST_LAYER,
        owner: VectorOwner = "item",
    ) -> dict[tuple[str, str], NDArray[np.float32]]:
        with reading(self._engine) as connection:
            return vectors.load_vectors(connection, part_hash, ids, layer=layer, owner=owner)

    def add_bundle(self, uri: str, manifest: Mapping[str, Any]) -> None:
        with writing(self._engine) as connection:
            bundles.add_bundle(connection, uri, manifest)

    def activate_bundle(self, uri: str) -> BundleRecord:
        with writing(self._engine) as connection:
            return bundles.activate_bundle(connection, uri)

    def rollback_bundle(self) -> BundleRecord:
        with writing(self._engine) as connection:
            return bundles.rollback_bundle(connection)

    def active_bundle(self) -> BundleRecord | None:
        with reading(self._engine) as connection:
            return bundles.active_bundle(connection)

    def bundles(self) -> list[BundleRecord]:
        with reading(self._engine) as connection:
            return bundles.all_bundles(connection)

    def add_impressions(self, new: Sequence[Impression]) -> None:
        columns = ("request_id", "user_id", "bundle", "items", "at")
        rows = [{name: getattr(impression, name) for name in columns} for impression in new]
        with writing(self._engine, counted=False) as connection:
            connection.execute(insert(impressions), rows)

    def changes(self) -> int:
        """A counter that every write raises on which an answer may depend."""
        with reading(self._engine) as connection:
            return int(connection.scalar(select(changes.c.counter)) or 0)

    def counts(self) -> Counts:
        """Rows in the store, deleted items not counted."""
        tables = (item_table, user_table, event_table, playlist_table)
        with reading(self._engine) as connection:
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
    return reading(store._engine)
