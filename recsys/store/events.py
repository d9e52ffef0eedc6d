"""Events: what users did, in an order that no late arrival can change."""

import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Row, case, delete, func, select

from recsys.errors import Conflict, InvalidRequest, NotFound
from recsys.store.dialect import among, insert_new, lock_rows, upsert
from recsys.store.impressions import forget
from recsys.store.items import known_items
from recsys.store.records import Event, EventDraft, HistoryEvent, KindCount
from recsys.store.tables import events, users

COLUMNS = ("event_id", "user_id", "item_id", "at", "position", "kind", "weight", "session_id")
"""All columns but the number, which the database counts up."""
TICK_SECONDS = 1e-6
"""By so much an event comes after the one before, when the clock does not say so."""


def add_events(connection: Connection, drafts: Sequence[EventDraft]) -> list[Event]:
    """Adds all of the events or none, and returns them as stored; an event whose id is stored already stays as it is.

    Raises:
        NotFound: an item that the store does not have.
        Conflict: an event id that is stored, or comes twice here, with other content.
    """
    known = known_items(connection, [draft.item_id for draft in drafts])
    unknown = next((draft.item_id for draft in drafts if draft.item_id not in known), None)
    if unknown is not None:
        raise NotFound(f"unknown item {unknown!r}: PUT it first or leave the event out")
    _lock_users(connection, {draft.user_id for draft in drafts})
    arrived = _arrivals(connection, {draft.user_id for draft in drafts if draft.at is None})
    values = [_values(draft, arrived) for draft in drafts]
    has_at = {value["event_id"]: draft.at is not None for draft, value in zip(drafts, values, strict=True)}
    stored = _insert(connection, values)
    for value in values:
        event = stored[value["event_id"]]
        if not event.same_content(value, with_at=has_at[event.event_id]):
            raise Conflict(f"event {event.event_id!r} is stored with other content: give it another event_id")
    return [stored[value["event_id"]] for value in values]


def insert_events(connection: Connection, values: Sequence[Mapping[str, Any]]) -> int:
    """Adds rows of the events table except event ids that are stored already; returns how many were new.

    The users' rows are locked first, in one order, so that one writer at a time counts up the numbers of a user's events.
    """
    _lock_users(connection, {value["user_id"] for value in values})
    return insert_new(connection, events, COLUMNS, [tuple(map(value.get, COLUMNS)) for value in values], key="event_id")


def recent_events(connection: Connection, user_id: str, *, limit: int) -> list[Event]:
    """The user's last events, oldest first; none for an unknown user."""
    c = events.c
    order = (c.at.desc().nulls_last(), c.position.desc().nulls_last(), c.number.desc())
    rows = connection.execute(select(events).where(c.user_id == user_id).order_by(*order).limit(limit)).all()
    return [_event(row) for row in reversed(rows)]


def histories(connection: Connection, user_ids: Sequence[str], *, limit: int) -> dict[str, list[HistoryEvent]]:
    """The last events of each user with events, oldest first; `user_ids` is consecutive, as in `user_page`."""
    c, first, last = events.c, user_ids[0], user_ids[-1]
    order = (c.user_id, c.at.asc().nulls_first(), c.position.asc().nulls_first(), c.number)
    columns = [c[name] for name in HistoryEvent._fields]
    query = select(c.user_id, *columns).where(c.user_id.between(first, last)).order_by(*order)
    rows = connection.execution_options(yield_per=10_000).execute(query)
    return {
        user_id: [HistoryEvent(*event) for _, *event in deque(user_rows, maxlen=limit)]
        for user_id, user_rows in groupby(map(tuple, rows), key=itemgetter(0))
    }


def events_mark(connection: Connection, user_id: str) -> tuple[int, int]:
    """(how many events the user has, the last one's number): another after every change to them; (0, 0) for no events."""
    query = select(func.count(), func.coalesce(func.max(events.c.number), 0)).where(events.c.user_id == user_id)
    count, last = connection.execute(query).one()
    return int(count), int(last)


def kind_counts(connection: Connection) -> list[KindCount]:
    """The kinds of events, the most frequent first."""
    c = events.c
    counts = func.count().label("events")
    positive = func.coalesce(func.sum(case((c.weight > 0, 1), else_=0)), 0)
    query = select(c.kind, counts, positive).group_by(c.kind).order_by(counts.desc(), c.kind)
    return [KindCount(kind, int(number), int(above)) for kind, number, above in connection.execute(query)]


def delete_event(connection: Connection, event_id: str) -> None:
    """Raises NotFound: no such event."""
    owner = connection.scalar(select(events.c.user_id).where(events.c.event_id == event_id))
    locked = owner is not None and lock_rows(connection, users.c.user_id, [owner])
    if not locked or not connection.execute(delete(events).where(events.c.event_id == event_id)).rowcount:
        raise NotFound(f"unknown event {event_id!r}")


def delete_user(connection: Connection, user_id: str) -> None:
    """Deletes the user with all events, states and impressions. An unknown user is no error: impressions may be on their way."""
    if lock_rows(connection, users.c.user_id, [user_id]):  # before the events, as `add_events` does
        connection.execute(delete(events).where(events.c.user_id == user_id))
        connection.execute(delete(users).where(users.c.user_id == user_id))
    forget(connection, user_id)


def user_page(connection: Connection, *, after: str | None, limit: int) -> list[str]:
    """User ids in ascending order, those after `after`."""
    query = select(users.c.user_id).order_by(users.c.user_id).limit(limit)
    return list(connection.scalars(query if after is None else query.where(users.c.user_id > after)))


def _lock_users(connection: Connection, ids: Set[str]) -> None:
    """Inserts the users that are new and locks the rows of all until the transaction ends."""
    user_ids = sorted(ids)
    stored = set(connection.scalars(select(users.c.user_id).where(among(connection, users.c.user_id, user_ids))))
    now = datetime.now(UTC)
    while True:
        new = [{"user_id": user_id, "created": now} for user_id in user_ids if user_id not in stored]
        upsert(connection, users, new, key=("user_id",))
        stored = lock_rows(connection, users.c.user_id, user_ids)
        if len(stored) == len(user_ids):  # else somebody was deleted while we waited for the lock
            return


def _insert(connection: Connection, values: Sequence[Mapping[str, Any]]) -> dict[str, Event]:
    """Inserts the events whose ids are new and returns all of them by id, as stored."""
    ids = [value["event_id"] for value in values]
    while True:
        insert_new(connection, events, COLUMNS, [tuple(map(value.get, COLUMNS)) for value in values], key="event_id")
        stored = {event.event_id: event for event in stored_events(connection, ids)}
        if stored.keys() >= set(ids):  # else another user's event of this id was deleted between the two statements
            return stored


def _arrivals(connection: Connection, user_ids: Set[str]) -> dict[str, float]:
    """The time of arrival for each user: now, but after all that the user has, though a clock was set back meanwhile."""
    if not user_ids:
        return {}
    now = time.time()
    latest = select(events.c.user_id, func.max(events.c.at)).where(among(connection, events.c.user_id, list(user_ids)))
    rows = connection.execute(latest.group_by(events.c.user_id))
    last = {user_id: at for user_id, at in rows if at is not None}
    return {user_id: max(now, last.get(user_id, now) + TICK_SECONDS) for user_id in user_ids}


def _values(draft: EventDraft, arrived: Mapping[str, float]) -> dict[str, Any]:
    if draft.at is not None and draft.at.tzinfo is None:
        raise InvalidRequest(f"at={draft.at.isoformat()} has no time zone: add one, such as Z")
    return {
        "event_id": draft.event_id or uuid.uuid4().hex,
        "user_id": draft.user_id,
        "item_id": draft.item_id,
        "at": draft.at.timestamp() if draft.at else arrived[draft.user_id],
        "position": draft.position,
        "kind": draft.kind,
        "weight": draft.weight,
        "session_id": draft.session_id,
    }


def stored_events(connection: Connection, event_ids: Sequence[str]) -> list[Event]:
    """The events that the store has of these ids."""
    query = select(events).where(among(connection, events.c.event_id, event_ids))
    return [_event(row) for row in connection.execute(query)]


def _event(row: Row[Any]) -> Event:
    return Event(**row._asdict())
