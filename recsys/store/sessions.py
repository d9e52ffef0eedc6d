"""Connections: SQLite in WAL mode or PostgreSQL, migrated before the first query."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from recsys.errors import NotReady, RecsysError, StoreError
from recsys.store.tables import changes
from recsys.store.urls import WAYS, make_database_private, parse_url, reason

TIMEOUTS = {"connect_timeout": 5, "tcp_user_timeout": 10_000, "keepalives_idle": 10, "keepalives_interval": 5}
"""Seconds, and milliseconds for sent data: a PostgreSQL server that went away without a word is given up."""
LOCK_SECONDS, QUEUE_SECONDS = 10, 30
"""Longest wait for SQLite's lock, and for a connection."""
ONE_CONNECTION = {"pool_size": 1, "max_overflow": 0}

CHECK = "check that the server runs, and what RECSYS_DATABASE_URL names"


def connect(url: str, *, for_writes: bool = False) -> Engine:
    """An engine for `url`; its errors and logs show no parameters. An SQLite file becomes private.

    Writers and readers have an engine each: those who only read find a free connection while writers wait. For writes to SQLite
    there is one connection: it has one writer at a time anyway, and the queue of a pool is fair.

    Raises:
        StoreError: the URL cannot be read, names another product, or its driver is not installed.
    """
    parsed = parse_url(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    try:
        make_database_private(parsed)
        engine = create_engine(
            parsed,
            hide_parameters=True,
            connect_args={} if sqlite else TIMEOUTS,
            pool_pre_ping=not sqlite,
            poolclass=QueuePool,
            pool_timeout=QUEUE_SECONDS,
            **(ONE_CONNECTION if sqlite and for_writes else {}),
        )
    except ImportError as error:
        raise StoreError("the driver of PostgreSQL is not installed: pip install 'recsys[postgres]'") from error
    except (SQLAlchemyError, OSError, ValueError) as error:
        raise StoreError(f"the database cannot be opened ({type(error).__name__}): {WAYS}") from error
    if sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def upgrade(url: str) -> None:
    """Migrates the database at `url` to the newest tables; doing it again changes nothing.

    Raises:
        NotReady: its tables are newer than this version, or another application's.
        StoreError: the database cannot be reached.
    """
    connect(url).dispose()  # checks the URL, and makes the file
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    config.attributes["url"] = parse_url(url)
    try:
        command.upgrade(config, "head")
    except CommandError as error:  # Alembic names the revision that it does not know
        raise NotReady(f"{error}: upgrade this installation, or name another database") from error
    except SQLAlchemyError as error:
        raise StoreError(f"cannot migrate the database: {reason(error)}; {CHECK}") from error


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
        raise StoreError(f"cannot reach the database: {reason(error)}; {CHECK}") from error
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
        raise StoreError(f"the database did not answer: {reason(error)}") from error


def count_change(connection: Connection) -> int:
    """Raises the counter and gives it. Until this transaction ends, no other can raise it: numbers come in order of commits."""
    raised = update(changes).values(counter=changes.c.counter + 1).returning(changes.c.counter)
    return connection.execute(raised).scalar_one()


def _prepare_sqlite(connection: Any, _: Any) -> None:
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None  # we begin transactions ourselves, below
    wait = f"busy_timeout={LOCK_SECONDS * 1000:.0f}"
    for pragma in (wait, "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(value: Any) -> Any:
    """SQLite's own knows the 26 letters of ASCII alone."""
    return value.lower() if isinstance(value, str) else value


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once and waits for it; one that upgraded a reader's lock would fail instead of waiting.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
