"""Both databases that the store runs on, fresh for each test: SQLite, and a real PostgreSQL 18 that a package brings along.

A plugin of `tests/conftest.py`: a test that asks for `store` or `database_url` runs on both. Whatever needs a server is marked
`postgresql`. Every worker of pytest-xdist has a server of its own.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, insert, make_url

from recsys.store import Store
from recsys.store.sessions import connect, upgrade
from recsys.store.tables import changes, metadata
from tests.servers import FORGETFUL, Server, postgresql, quick_folder

KINDS = ("sqlite", "postgresql")
SERVERS = {"server", "own_server"}
"""Fixtures that start one."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and _needs_server(item):
            item.add_marker("postgresql")


def _needs_server(item: pytest.Function) -> bool:
    params = item.callspec.params if hasattr(item, "callspec") else {}
    on_both = (params.get(name) for name in ("database_url", "empty_url"))
    return not SERVERS.isdisjoint(item.fixturenames) or "postgresql" in on_both


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL server."""
    with postgresql(quick_folder(), settings=FORGETFUL) as running:
        yield running.url


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A migrated PostgreSQL server for one test, to be hurt."""
    with postgresql(quick_folder(), settings=FORGETFUL) as running:
        upgrade(running.url)
        yield running


@pytest.fixture(scope="session")
def migrated_server(server: str) -> str:
    """The URL of a migrated database on the server; whoever writes into it empties it."""
    url = _create(server, "migrated")
    upgrade(url)
    return url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to copy."""
    path = tmp_path_factory.mktemp("migrated") / "store.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database with nothing in it."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "store.db")
        yield f"sqlite:///{tmp_path}/store.db"
        return
    url: str = request.getfixturevalue("migrated_server")
    yield url
    empty(url)


@pytest.fixture(params=KINDS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    server: str = request.getfixturevalue("server")
    yield _create(server, "without_tables")
    _execute(server, "DROP DATABASE without_tables WITH (FORCE)")


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store.open(database_url)
    yield store
    store.close()


@contextmanager
def transaction(url: str) -> Iterator[Connection]:
    """A write transaction that does not go through a store."""
    engine = connect(url)
    try:
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection
    finally:
        engine.dispose()


def _create(server: str, name: str) -> str:
    _execute(server, f"CREATE DATABASE {name}")
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def _execute(server: str, statement: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def empty(url: str) -> None:
    """Deletes every row and starts the numbers over; a test that left a transaction open fails here instead of waiting."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("SET lock_timeout = '5s'")
        connection.exec_driver_sql(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY")
        connection.execute(insert(changes).values(only=1, counter=0))
    engine.dispose()
