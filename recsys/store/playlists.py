"""Playlists: named lists of items."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, func, insert, select

from recsys.errors import NotFound
from recsys.store.dialect import among, chunks, upsert
from recsys.store.items import known_items
from recsys.store.records import Playlist
from recsys.store.sessions import count_change
from recsys.store.tables import playlist_items, playlists, vectors


def put_playlist(connection: Connection, playlist_id: str, name: str | None, item_ids: Sequence[str]) -> Playlist:
    """Inserts or replaces the whole list.

    Raises:
        NotFound: an item that the store does not have.
    """
    known = known_items(connection, item_ids)
    unknown = next((item_id for item_id in item_ids if item_id not in known), None)
    if unknown is not None:
        raise NotFound(f"unknown item {unknown!r}: PUT it first or leave it out")
    row = {"playlist_id": playlist_id, "name": name, "updated": datetime.now(UTC), "version": count_change(connection)}
    upsert(connection, playlists, [row], key=("playlist_id",), changing=("name", "updated", "version"))
    connection.execute(delete(playlist_items).where(playlist_items.c.playlist_id == playlist_id))
    rows = [{"playlist_id": playlist_id, "position": n, "item_id": item_id} for n, item_id in enumerate(item_ids)]
    for chunk in chunks(rows):
        connection.execute(insert(playlist_items), list(chunk))
    return Playlist(playlist_id=playlist_id, name=name, item_ids=tuple(item_ids))


def put_playlists(connection: Connection, lists: Sequence[Playlist]) -> None:
    """Inserts or replaces all of the lists."""
    for new in lists:
        put_playlist(connection, new.playlist_id, new.name, new.item_ids)


def playlist(connection: Connection, playlist_id: str) -> Playlist:
    """Raises NotFound: no such playlist."""
    stored = stored_playlists(connection, [playlist_id])
    if not stored:
        raise NotFound(f"unknown playlist {playlist_id!r}")
    return stored[playlist_id]


def stored_playlists(connection: Connection, playlist_ids: Sequence[str]) -> dict[str, Playlist]:
    """The playlists that the store has of these ids."""
    lists, members = playlists.c, playlist_items.c
    named = select(lists.playlist_id, lists.name).where(among(connection, lists.playlist_id, playlist_ids))
    entries = select(members.playlist_id, members.item_id).where(among(connection, members.playlist_id, playlist_ids))
    item_ids: dict[str, list[str]] = {}
    for row in connection.execute(entries.order_by(members.playlist_id, members.position)):
        item_ids.setdefault(row.playlist_id, []).append(row.item_id)
    return {
        row.playlist_id: Playlist(
            playlist_id=row.playlist_id, name=row.name, item_ids=tuple(item_ids.get(row.playlist_id, ()))
        )
        for row in connection.execute(named)
    }


def playlists_since(connection: Connection, version: int) -> list[Playlist]:
    """Playlists written after the counter of changes stood at `version`, by the order of their writes."""
    c = playlists.c
    query = select(c.playlist_id).where(c.version > version).order_by(c.version, c.playlist_id)
    changed = list[Playlist]()
    for ids in chunks(list(connection.scalars(query))):
        stored = stored_playlists(connection, ids)
        changed += [stored[playlist_id] for playlist_id in ids if playlist_id in stored]
    return changed


def playlist_ids(connection: Connection, *, after: str | None = None, limit: int | None = None) -> list[str]:
    """Ids of the stored playlists in ascending order, from `after` on."""
    query = select(playlists.c.playlist_id).order_by(playlists.c.playlist_id).limit(limit)
    return list(connection.scalars(query if after is None else query.where(playlists.c.playlist_id > after)))


def playlist_count(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(playlists)) or 0


def playlists_holding(connection: Connection, item_id: str) -> list[str]:
    """Ids of the playlists that contain the item."""
    c = playlist_items.c
    return list(connection.scalars(select(c.playlist_id).where(c.item_id == item_id).distinct()))


def delete_playlist(connection: Connection, playlist_id: str) -> None:
    """Deletes the list and its vectors.

    Raises:
        NotFound: no such playlist.
    """
    count_change(connection)  # before the rows, as `put_playlist` does
    connection.execute(delete(vectors).where(vectors.c.owner == "playlist", vectors.c.id == playlist_id))
    connection.execute(delete(playlist_items).where(playlist_items.c.playlist_id == playlist_id))
    if not connection.execute(delete(playlists).where(playlists.c.playlist_id == playlist_id)).rowcount:
        raise NotFound(f"unknown playlist {playlist_id!r}")
