"""What came into the store after a point that the caller remembers: items by the counter of changes, events by their number."""

from collections.abc import Iterator
from datetime import UTC
from typing import NamedTuple

from sqlalchemy import case, func, select

from recsys.store.store import Store, read_connection
from recsys.store.tables import events, items

ROWS_PER_PAGE = 50_000


class CountedEvent(NamedTuple):
    """What of an event counts for its item, whoever did it."""

    number: int
    item_id: str
    at: float | None
    kind: str
    weight: float


def items_added(store: Store, *, since: int) -> list[tuple[str, float]]:
    """Id and time of creation (epoch seconds) of items written after the counter of changes stood at `since`, by number."""
    c = items.c
    query = select(c.item_id, c.created).where(c.version > since).order_by(c.number)
    with read_connection(store) as connection:
        return [
            (item_id, (created if created.tzinfo else created.replace(tzinfo=UTC)).timestamp())  # SQLite has no zones
            for item_id, created in connection.execute(query)
        ]


def events_added(store: Store, *, after: int) -> Iterator[list[CountedEvent]]:
    """Pages of the events with a number above `after`, by number."""
    columns = [events.c[name] for name in CountedEvent._fields]
    while True:
        query = select(*columns).where(events.c.number > after).order_by(events.c.number).limit(ROWS_PER_PAGE)
        with read_connection(store) as connection:
            page = [CountedEvent._make(row) for row in connection.execute(query).all()]
        if page:
            yield page
            after = page[-1].number
        if len(page) < ROWS_PER_PAGE:
            return


def events_upto(store: Store, number: int) -> int:
    """How many events have at most this number."""
    query = select(func.count(), func.coalesce(func.sum(case((events.c.number > number, 1), else_=0)), 0))
    with read_connection(store) as connection:  # so that SQLite counts over its smallest index
        total, later = connection.execute(query.select_from(events)).one()
    return int(total) - int(later)
