"""Takes what was deleted out of the files of SQLite. PostgreSQL does so itself, in its VACUUM.

With `secure_delete` SQLite overwrites deleted rows with zeros, but older copies of them stay in two places: in the write-ahead
log until it is emptied, and, for about 4 of 1,000 users, in the free part of a page from which a row once moved to another page.
Only VACUUM, which writes the whole file anew, removes the latter.
"""

import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from recsys.store.sessions import LOCK_SECONDS

log = logging.getLogger(__name__)

WAIT_SECONDS = 0.25
"""Longest wait for readers of the write-ahead log: other writes wait meanwhile."""
MAX_VACUUM_BYTES = 1 << 28
"""A larger file is left to the operator: VACUUM writes about 120 MB a second, and writes are refused after `LOCK_SECONDS`."""
WARNING_PAUSE = 3600
VACUUM_SHARE, VACUUM_PAUSE = 0.05, 10
"""Largest share of the time in which VACUUM may be at work, and seconds between two of them at least."""


class Eraser:
    """Cleans the files behind `engine`, whose connections write. Thread-safe: SQLite has one writer at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._path = Path(engine.url.database or "")
        self._is_file = engine.dialect.name == "sqlite" and self._path.is_file()
        self._log_is_unclean = self._is_file  # a process that was killed may have left it so
        self._file_is_unclean = False
        self._next_vacuum = 0.0

    def erase(self) -> None:
        """Empties the log after a deletion if no reader is in the way. `tidy` does the rest."""
        self._log_is_unclean = self._file_is_unclean = self._is_file
        self._empty_log()

    def tidy(self) -> None:
        """Does what is left to do, in the background."""
        if self._file_is_unclean and time.monotonic() >= self._next_vacuum:
            self._vacuum()
        self._empty_log()

    def _empty_log(self) -> None:
        if self._log_is_unclean:
            self._log_is_unclean = False  # before: a deletion in between sets it again
            if not self._run(_empty_log):
                self._log_is_unclean = True

    def _vacuum(self) -> None:
        self._file_is_unclean = False
        if (size := self._path.stat().st_size) > MAX_VACUUM_BYTES:
            log.warning(
                "a database of %d bytes may hold copies of deleted rows: run VACUUM on it at a quiet time", size
            )
            self._next_vacuum = time.monotonic() + WARNING_PAUSE
            return
        self._log_is_unclean = True
        started = time.monotonic()
        if not self._run(_vacuum):
            self._file_is_unclean = True
        ended = time.monotonic()
        self._next_vacuum = ended + max(VACUUM_PAUSE, (ended - started) / VACUUM_SHARE)

    def _run(self, work: Callable[[sqlite3.Connection], bool]) -> bool:
        """The result of `work` outside of any transaction; False too if the database refuses it."""
        try:
            with closing(self._engine.raw_connection()) as pooled:
                assert isinstance(pooled.driver_connection, sqlite3.Connection)
                return work(pooled.driver_connection)
        except (SQLAlchemyError, sqlite3.Error) as error:
            log.warning("deleted rows are not out of the database file yet: %s", error)
            return False


def _empty_log(connection: sqlite3.Connection) -> bool:
    """Moves the log into the database and cuts it to no bytes; False if readers are in the way."""
    connection.execute(f"PRAGMA busy_timeout={WAIT_SECONDS * 1000:.0f}")
    try:
        is_busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout={LOCK_SECONDS * 1000:.0f}")
    return not is_busy


def _vacuum(connection: sqlite3.Connection) -> bool:
    connection.execute("VACUUM")
    return True
