"""Items: put, look up, delete."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, or_, select, update

from features.text import TEXT_VERSION, item_text
from recsys.errors import NotFound, first_ids
from recsys.store.dialect import ROWS_PER_STATEMENT, among, upsert
from recsys.store.records import Item, ItemDraft, content_hash
from recsys.store.sessions import count_change, reading
from recsys.store.tables import events, items


def put_items(connection: Connection, drafts: Sequence[ItemDraft]) -> list[Item]:
    """Inserts or replaces; a deleted item comes back under its old number. Of equal ids in one call the last counts."""
    now, version = datetime.now(UTC), count_change(connection)
    latest = {draft.item_id: draft for draft in drafts}
    available = _availability(connection, list(latest))
    values = [
        {
            "item_id": draft.item_id,
            "domain": draft.domain,
            "title": draft.title,
            "attributes": dict(draft.attributes),
            "active": True,
            "available": available.get(draft.item_id, True) if draft.available is None else draft.available,
            "content_hash": content_hash(draft),
            "text": item_text(draft.title, draft.attributes),
            "text_version": TEXT_VERSION,
            "created": now,
            "updated": now,
            "version": version,
        }
        for draft in latest.values()
    ]
    content = ("domain", "title", "attributes", "content_hash", "text", "text_version")
    changing = (*content, "active", "available", "updated", "version")
    upsert(connection, items, values, key=("item_id",), changing=changing)
    stored = {item.item_id: item for item in _by_id(connection, list(latest))}
    return [stored[draft.item_id] for draft in drafts]


def set_availability(connection: Connection, available: Mapping[str, bool]) -> int:
    """Sets whether items may be recommended, by item id, and nothing else of them. Returns how many it changed.

    Raises:
        NotFound: items that were never stored, or are deleted.
    """
    now, version = datetime.now(UTC), count_change(connection)
    stored = _availability(connection, list(available))
    if unknown := [item_id for item_id in available if item_id not in stored]:
        raise NotFound(f"unknown items {first_ids(unknown)}: PUT them first or leave them out; nothing was changed")
    changed = [item_id for item_id, flag in available.items() if stored[item_id] is not flag]
    for flag in (True, False):
        among_ids = among(connection, items.c.item_id, [item_id for item_id in changed if available[item_id] is flag])
        connection.execute(update(items).where(among_ids).values(available=flag, updated=now, version=version))
    return len(changed)


def active_item(connection: Connection, item_id: str) -> Item:
    """Raises NotFound: never stored, or deleted."""
    row = connection.execute(select(items).where(items.c.item_id == item_id, items.c.active)).first()
    if row is None:
        raise NotFound(f"unknown item {item_id!r}: PUT it first or leave it out")
    return _item(row)


def active_items(connection: Connection, item_ids: Sequence[str]) -> list[Item]:
    """Those of `item_ids` that are stored and not deleted, in any order."""
    return [item for item in _by_id(connection, list(item_ids)) if item.active]


def delete_item(connection: Connection, item_id: str) -> None:
    """Raises NotFound: never stored, or deleted already."""
    active_item(connection, item_id)
    values = {"active": False, "updated": datetime.now(UTC), "version": count_change(connection)}
    connection.execute(update(items).where(items.c.item_id == item_id).values(values))


def all_items(engine: Engine) -> Iterator[list[Item]]:
    """Pages of items by number, deleted ones too."""
    after = 0
    while True:
        with reading(engine) as connection:
            query = select(items).where(items.c.number > after).order_by(items.c.number).limit(ROWS_PER_STATEMENT)
            page = [_item(row) for row in connection.execute(query)]
        if not page:
            return
        yield page
        after = page[-1].number


def items_since(connection: Connection, version: int) -> list[Item]:
    """Items written after the counter of changes stood at `version`, deleted ones too, in the order of their writes."""
    query = select(items).where(items.c.version > version).order_by(items.c.version, items.c.number)
    return [_item(row) for row in connection.execute(query)]


def find_items(connection: Connection, text: str, *, limit: int) -> list[Item]:
    """Active items whose title or id contains `text`, in any case; by number."""
    like = [func.lower(column).contains(text.lower(), autoescape=True) for column in (items.c.title, items.c.item_id)]
    query = select(items).where(items.c.active, or_(*like)).order_by(items.c.number).limit(limit)
    return [_item(row) for row in connection.execute(query)]


def known_items(connection: Connection, item_ids: Sequence[str]) -> set[str]:
    """The ids that the store has, those of deleted items too."""
    query = select(items.c.item_id).where(among(connection, items.c.item_id, list(dict.fromkeys(item_ids))))
    return set(connection.scalars(query))


def changed_drafts(connection: Connection, drafts: Sequence[ItemDraft]) -> list[ItemDraft]:
    """Those of `drafts` that `put_items` would change anything by."""
    c = items.c
    among_ids = among(connection, c.item_id, [draft.item_id for draft in drafts])
    query = select(c.item_id, c.content_hash, c.available).where(among_ids, c.active)
    stored = {row.item_id: (row.content_hash, row.available) for row in connection.execute(query)}
    return [draft for draft in drafts if not _is_stored(draft, *stored.get(draft.item_id, (None, True)))]


def item_counts(connection: Connection, kinds: Sequence[str], *, least: float) -> dict[str, int]:
    """Events of these kinds that weigh above 0 and at least `least`, of each item that has any."""
    c = events.c
    counted = among(connection, c.kind, list(kinds)), c.weight > 0, c.weight >= least
    query = select(c.item_id, func.count()).where(*counted).group_by(c.item_id)
    return {row.item_id: row[1] for row in connection.execute(query)}


def _is_stored(draft: ItemDraft, stored_hash: str | None, available: bool) -> bool:
    return draft.available in (None, available) and content_hash(draft) == stored_hash


def _availability(connection: Connection, item_ids: list[str]) -> dict[str, bool]:
    """Whether they are available, of the active items among `item_ids`."""
    among_ids = among(connection, items.c.item_id, item_ids)
    query = select(items.c.item_id, items.c.available).where(among_ids, items.c.active)
    return {row.item_id: row.available for row in connection.execute(query)}


def _by_id(connection: Connection, item_ids: list[str]) -> Iterator[Item]:
    for row in connection.execute(select(items).where(among(connection, items.c.item_id, item_ids))):
        yield _item(row)


def _item(row: Row[Any]) -> Item:
    """The item; a text that another version cleaned, or none, is cleaned again."""
    return Item(
        item_id=row.item_id,
        domain=row.domain,
        title=row.title,
        attributes=row.attributes,
        number=row.number,
        content_hash=row.content_hash,
        active=row.active,
        available=row.available,
        text=row.text if row.text_version == TEXT_VERSION else item_text(row.title, row.attributes),
    )
