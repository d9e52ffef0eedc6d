"""Which bundle is served, and which ones were served before."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select, update

from recsys.errors import NotFound
from recsys.store.dialect import upsert
from recsys.store.records import Activation, BundleRecord
from recsys.store.sessions import count_change
from recsys.store.tables import bundles

TICK = timedelta(microseconds=1)
"""From one activation to the next when the clock was set back: `rollback_bundle` goes by their order."""


def add_bundle(connection: Connection, uri: str, manifest: Mapping[str, Any]) -> None:
    """Adds a bundle as staged; one that the store has already stays as it is."""
    count_change(connection)
    values = {"uri": uri, "manifest": dict(manifest), "state": "staged", "created": datetime.now(UTC)}
    upsert(connection, bundles, [values], key=("uri",))


def activate_bundle(connection: Connection, uri: str) -> BundleRecord:
    """Makes the bundle the active one and retires the previous one. Activations at the same time take turns.

    Raises:
        NotFound: the store does not know the bundle.
    """
    count_change(
        connection
    )  # locks: an activation that did not wait would retire the bundle before the one active by then
    if connection.scalar(select(bundles.c.uri).where(bundles.c.uri == uri)) is None:
        raise NotFound(f"unknown bundle {uri!r}: `recsys bundles list` shows those that are known")
    connection.execute(update(bundles).where(bundles.c.state == "active").values(state="retired"))
    last = connection.scalar(select(func.max(bundles.c.activated)))
    now = datetime.now(UTC) if last is None else max(datetime.now(UTC), _utc(last) + TICK)
    connection.execute(update(bundles).where(bundles.c.uri == uri).values(state="active", activated=now))
    record = active_bundle(connection)
    assert record is not None
    return record


def _utc(moment: datetime) -> datetime:
    """SQLite gives times without their zone."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def rollback_bundle(connection: Connection) -> BundleRecord:
    """Goes back to the bundle that was active before this one, which no later rollback comes back to.

    Raises:
        NotFound: there was none.
    """
    count_change(connection)
    c = bundles.c
    earlier = (c.state == "retired") & c.activated.is_not(None)
    uri = connection.scalar(select(c.uri).where(earlier).order_by(c.activated.desc()).limit(1))
    if uri is None:
        raise NotFound("no earlier bundle to go back to: `recsys bundles list` shows those that are known")
    connection.execute(update(bundles).where(c.state == "active").values(state="retired", activated=None))
    return activate_bundle(connection, uri)


def active_bundle(connection: Connection) -> BundleRecord | None:
    row = connection.execute(select(bundles).where(bundles.c.state == "active")).first()
    return None if row is None else BundleRecord(row.uri, row.manifest, row.state)


def activation(connection: Connection) -> Activation | None:
    """Which bundle is active and since when, without its manifest: for those who ask often."""
    c = bundles.c
    row = connection.execute(select(c.uri, c.activated).where(c.state == "active")).first()
    return None if row is None else Activation(row.uri, row.activated and _utc(row.activated))


def all_bundles(connection: Connection) -> list[BundleRecord]:
    """Oldest first."""
    rows = connection.execute(select(bundles).order_by(bundles.c.number))
    return [BundleRecord(row.uri, row.manifest, row.state) for row in rows]
