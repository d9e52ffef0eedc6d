"""Write transactions: at most so many at a time, run again where the database ended one for the sake of another.

On PostgreSQL all of them lock in one order, so that none waits for another that waits for it: users by id, events, forgotten
users, impressions, the counter of changes, then items, playlists, vectors and bundles.
"""

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from recsys.errors import Busy, StoreError
from recsys.store.sessions import LOCK_SECONDS, QUEUE_SECONDS, count_change
from recsys.store.urls import reason

MAX_WRITES = 128
"""Writes at a time. Each has a thread of the caller's: a server whose threads all waited for one lock would answer nothing."""
RETRY_SECONDS = (0.05, 0.1, 0.2)
"""Longest pause before each further attempt; its length is random, so that writers that met once do not meet again."""
CONFLICTS = {
    "40P01": "other writes and this one waited for each other (deadlock)",
    "40001": "other writes changed the same rows meanwhile (serialization failure)",
}
"""Reasons by the SQLSTATE of PostgreSQL under which a transaction was ended that can be run again."""
AGAIN = "nothing was stored, try again in a moment"

T = TypeVar("T")


class Writer:
    """Runs write transactions. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._free = threading.Semaphore(MAX_WRITES)

    def run(self, work: Callable[[Connection], T], *, counted: bool = True) -> T:
        """The result of `work` in a transaction that raises the counter of changes; all of it is committed, or nothing.

        `work` is called again after a conflict. Writes that no answer depends on need not be `counted`.

        Raises:
            Busy: other writes are in the way.
            StoreError: the database cannot be reached or refuses the write.
        """
        if not self._free.acquire(blocking=False):
            raise Busy(f"{MAX_WRITES} writes are at work already: {AGAIN}")
        try:
            return self._retry(work, counted=counted)
        finally:
            self._free.release()

    def close(self) -> None:
        self.engine.dispose()

    def _retry(self, work: Callable[[Connection], T], *, counted: bool) -> T:
        pauses = iter(RETRY_SECONDS)
        while True:
            try:
                return self._transact(work, counted=counted)
            except SQLAlchemyError as error:
                pause = next(pauses, None) if _sqlstate(error) in CONFLICTS else None
                if pause is None:
                    raise _refusal(error) from error
                time.sleep(random.uniform(0, pause))

    def _transact(self, work: Callable[[Connection], T], *, counted: bool) -> T:
        with self.engine.connect().execution_options(writes=True) as connection, connection.begin():
            result = work(connection)
            if counted:
                count_change(connection)
        return result


def _refusal(error: SQLAlchemyError) -> Busy | StoreError:
    """The error that says what happened."""
    if conflict := CONFLICTS.get(_sqlstate(error)):
        return Busy(f"{conflict}, {len(RETRY_SECONDS) + 1} times in a row: {AGAIN}")
    if isinstance(error, NoFreeConnection):
        return Busy(f"other writes have been waiting for more than {QUEUE_SECONDS} seconds: {AGAIN}")
    if _is_locked(error):
        return Busy(f"another process has been writing for more than {LOCK_SECONDS} seconds: {AGAIN}")
    return StoreError(f"the database refused the write: {reason(error)}")


def _sqlstate(error: SQLAlchemyError) -> str:
    """PostgreSQL's code of the error; empty where there is none."""
    return getattr(error.orig, "sqlstate", None) or "" if isinstance(error, DBAPIError) else ""


def _is_locked(error: SQLAlchemyError) -> bool:
    """Whether SQLite gave up waiting for its lock."""
    code = getattr(error.orig, "sqlite_errorcode", 0) if isinstance(error, DBAPIError) else 0
    return bool(code & 0xFF == sqlite3.SQLITE_BUSY)
