"""Playlists: named lists of items."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert, select

from recsys.errors import NotFound
from recsys.store.dialect import chunks, upsert
from recsys.store.items import known_items
from recsys.store.records import Playlist
from recsys.store.tables import playlist_items, playlists


def put_playlist(connection: Connection, playlist_id: str, name: str | None, item_ids: Sequence[str]) -> Playlist:
    """Inserts or replaces the whole list.

    Raises:
        NotFound: an item that the store does not hold.
    """
    known = known_items(connection, item_ids)
    unknown = next((item_id for item_id in item_ids if item_id not in known), None)
    if unknown is not None:
        raise NotFound(f"unknown item {unknown!r}: PUT it first or leave it out")
    row = {"playlist_id": playlist_id, "name": name, "updated": datetime.now(UTC)}
    upsert(connection, playlists, [row], key=("playlist_id",), changing=("name", "updated"))
    connection.execute(delete(playlist_items).where(playlist_items.c.playlist_id == playlist_id))
    rows = [{"playlist_id": playlist_id, "position": n, "item_id": item_id} for n, item_id in enumerate(item_ids)]
    for part in chunks(rows):
        connection.execute(insert(playlist_items), list(part))
    return Playlist(playlist_id=playlist_id, name=name, item_ids=tuple(item_ids))


def playlist(connection: Connection, playlist_id: str) -> Playlist:
    """Raises NotFound: no such playlist."""
    row = connection.execute(select(playlists).where(playlists.c.playlist_id == playlist_id)).first()
    if row is None:
        raise NotFound(f"unknown playlist {playlist_id!r}")
    c = playlist_items.c
    members = connection.scalars(select(c.item_id).where(c.playlist_id == playlist_id).order_by(c.position))
    return Playlist(playlist_id=playlist_id, name=row.name, item_ids=tuple(members))


def delete_playlist(connection: Connection, playlist_id: str) -> None:
    """Raises NotFound: no such playlist."""
    connection.execute(delete(playlist_items).where(playlist_items.c.playlist_id == playlist_id))
    if not connection.execute(delete(playlists).where(playlists.c.playlist_id == playlist_id)).rowcount:
        raise NotFound(f"unknown playlist {playlist_id!r}")
