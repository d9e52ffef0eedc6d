"""Impressions: which items were shown to whom, until their users are forgotten or they are too old.

Impressions are written some time after they were shown, by any process. A forgotten user therefore leaves a tombstone for a
while, the hash of the id and the time, by which the user's late impressions are recognised.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from recsys.store.dialect import among, upsert
from recsys.store.records import Impression
from recsys.store.tables import forgotten_users, impressions

COLUMNS = ("request_id", "user_id", "bundle", "items", "at")
TOMBSTONE_LIFE = timedelta(hours=24)
"""An impression that is written later than this after it was shown is not stored: its user's tombstone may be gone."""
GRACE = timedelta(minutes=1)
"""An impression shown so soon after its user was forgotten counts as earlier: its request may have begun before, or another
machine's clock may be fast."""
ROWS_PER_PRUNING = 500
"""Few enough that no request waits long for the lock of SQLite."""


def add_impressions(connection: Connection, new: Sequence[Impression]) -> None:
    """Adds the impressions except those of users who were forgotten after they were shown.

    On PostgreSQL it takes turns with `forget`: a user who is being forgotten meanwhile would be overlooked.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"LOCK TABLE {forgotten_users.name} IN SHARE MODE")
    forgotten = _forgotten(
        connection, sorted({impression.user_id for impression in new if impression.user_id is not None})
    )
    oldest = datetime.now(UTC) - TOMBSTONE_LIFE
    rows = [
        {name: getattr(impression, name) for name in COLUMNS}
        for impression in new
        if impression.user_id is None or impression.at > forgotten.get(impression.user_id, oldest)
    ]
    if rows:
        connection.execute(insert(impressions), rows)


def forget(connection: Connection, user_id: str) -> None:
    """Deletes the user's impressions, those too that are still to be written, in this process or in another."""
    tombstone = {"user_hash": _hash(user_id), "at": datetime.now(UTC)}
    upsert(connection, forgotten_users, [tombstone], key=("user_hash",), changing=("at",))
    connection.execute(delete(impressions).where(impressions.c.user_id == user_id))


def is_prunable(connection: Connection, *, days: int) -> bool:
    """Whether `prune` would delete anything."""
    tables = (impressions, _old_impressions(days)), (forgotten_users, _old_tombstones())
    return any(connection.scalar(select(1).select_from(table).where(old).limit(1)) for table, old in tables)


def prune(connection: Connection, *, days: int) -> None:
    """Deletes tombstones at the end of their life, and some of the impressions older than `days`, the oldest first."""
    connection.execute(delete(forgotten_users).where(_old_tombstones()))
    oldest = select(impressions.c.request_id).where(_old_impressions(days)).order_by(impressions.c.at)
    ids = connection.scalars(oldest.limit(ROWS_PER_PRUNING).with_for_update(skip_locked=True)).all()
    connection.execute(delete(impressions).where(among(connection, impressions.c.request_id, ids)))


def _forgotten(connection: Connection, user_ids: Sequence[str]) -> Mapping[str, datetime]:
    """Until when impressions of those of the users count as shown before they were forgotten who were."""
    by_hash = {_hash(user_id): user_id for user_id in user_ids}
    query = select(forgotten_users.c.user_hash, forgotten_users.c.at)
    rows = connection.execute(query.where(among(connection, forgotten_users.c.user_hash, list(by_hash))))
    return {by_hash[user_hash]: at.replace(tzinfo=at.tzinfo or UTC) + GRACE for user_hash, at in rows}


def _hash(user_id: str) -> str:
    return hashlib.sha256(user_id.encode()).hexdigest()


def _old_impressions(days: int) -> ColumnElement[bool]:
    return impressions.c.at < datetime.now(UTC) - timedelta(days=days)


def _old_tombstones() -> ColumnElement[bool]:
    return forgotten_users.c.at < datetime.now(UTC) - TOMBSTONE_LIFE - GRACE
