"""Connections: SQLite in WAL mode or PostgreSQL, migrated before the first query."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text, update
from sqlalchemy.exc import SQLAlchemyError

from recsys.errors import NotReady, RecsysError, StoreError
from recsys.store.tables import changes

TIMEOUTS = {"connect_timeout": 5, "tcp_user_timeout": 10_000, "keepalives_idle": 10, "keepalives_interval": 5}
"""Seconds, and milliseconds for sent data: a PostgreSQL server that went away without a word is given up."""


def connect(url: str) -> Engine:
    """An engine for `url`.

    Raises:
        StoreError: the URL cannot be read or its driver is not installed.
    """
    try:
        sqlite = url.startswith("sqlite")
        engine = create_engine(url, pool_pre_ping=not sqlite, connect_args={} if sqlite else TIMEOUTS)
    except (SQLAlchemyError, ImportError) as error:
        raise StoreError(f"database URL {url!r}: {error}; use sqlite:///FILE or postgresql+psycopg://...") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def upgrade(url: str) -> None:
    """Migrates the database at `url` to the newest tables; doing it again changes nothing.

    Raises:
        StoreError: the database cannot be reached.
    """
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    config.attributes["url"] = url
    try:
        command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise StoreError(f"cannot migrate {url!r}: {error}") from error


def check_migrated(engine: Engine) -> None:
    """Does nothing if the tables are there, as this version needs them.

    Raises:
        NotReady: they are not.
        StoreError: the database cannot be reached.
    """
    try:
        migrated = inspect(engine).has_table(changes.name)
        with engine.connect() as connection:
            revision = connection.scalar(text("SELECT version_num FROM alembic_version")) if migrated else None
    except SQLAlchemyError as error:
        raise StoreError(f"cannot reach the database: {error}") from error
    if revision is None:
        raise NotReady("the database has no tables yet: run `recsys db upgrade`")
    needed = newest_revision()
    if revision < needed:
        raise NotReady(f"the database is at revision {revision}, this version needs {needed}: run `recsys db upgrade`")
    if revision > needed:
        raise NotReady(
            f"the database is at revision {revision}, this version knows {needed}: upgrade this installation"
        )


def newest_revision() -> str:
    """The newest migration, by the number that its file begins with: without loading Alembic's, at every start."""
    return max(path.name[:4] for path in (files("migrations") / "versions").iterdir() if path.name[:4].isdecimal())


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for queries."""
    try:
        with engine.connect() as connection:
            yield connection
    except RecsysError:
        raise
    except SQLAlchemyError as error:
        raise StoreError(f"the database did not answer: {error}") from error


@contextmanager
def writing(engine: Engine, *, counted: bool = True) -> Iterator[Connection]:
    """A transaction that raises the counter of changes; all of it is committed, or nothing.

    Writes that no answer depends on need not be `counted`.
    """
    try:
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection
            if counted:
                count_change(connection)
    except RecsysError:
        raise
    except SQLAlchemyError as error:
        raise StoreError(f"the database refused the write: {error}") from error


def count_change(connection: Connection) -> int:
    """Raises the counter and gives it. Until this transaction ends, no other can raise it: numbers come in order of commits."""
    raised = update(changes).values(counter=changes.c.counter + 1).returning(changes.c.counter)
    return connection.execute(raised).scalar_one()


def _prepare_sqlite(connection: Any, _: Any) -> None:
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None  # we begin transactions ourselves, below
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(value: Any) -> Any:
    """SQLite's own knows the 26 letters of ASCII alone."""
    return value.lower() if isinstance(value, str) else value


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once and waits for it; one that upgraded a reader's lock would fail instead of waiting.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
