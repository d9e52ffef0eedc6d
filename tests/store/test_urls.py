"""Which database URLs work, and that none of their passwords is ever shown."""

import pytest

from recsys.errors import RecsysError, StoreError
from recsys.store import Store
from recsys.store.sessions import connect, upgrade
from recsys.store.urls import parse_url, shown_url
from tests.servers import Server

SECRET = "Tr0ub4dor"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_each_way_to_write_postgresql_means_the_installed_driver(scheme: str) -> None:
    assert parse_url(f"{scheme}://u:{SECRET}@host:5433/name").drivername == "postgresql+psycopg"
    engine = connect(f"{scheme}://u:{SECRET}@host:5433/name")
    assert engine.dialect.driver == "psycopg"
    engine.dispose()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_store_opens_by_the_short_schemes(own_server: Server, scheme: str) -> None:
    url = own_server.url.replace("postgresql+psycopg", scheme)
    upgrade(url)
    store = Store.open(url)
    assert store.counts().items == 0
    store.close()


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{SECRET}@127.0.0.1:1/name",
        f"postgres://u:{SECRET}@127.0.0.1:1/name?sslpassword={SECRET}",
        f"postgresql://127.0.0.1:1/name?user=u&password={SECRET}",
        f"postgresql://u:a@{SECRET}@127.0.0.1:1/name",
        f"postgresql://u:1/{SECRET}@127.0.0.1:1/name",
        f"postgresql://u:{SECRET}/x@127.0.0.1:1/name",
        f"postgresql://u:{SECRET}@127.0.0.1:port/name",
        f"postgresql://u:{SECRET}@127.0.0.1:1/name?unknown_option=1",
        f"mysql://u:{SECRET}@127.0.0.1/name",
        f"postgresql+asyncpg://u:{SECRET}@127.0.0.1/name",
        f"mystery://u:{SECRET}@x",
        f"u:{SECRET}@x",
        f":{SECRET}",
        "",
    ],
)
def test_no_error_repeats_the_password(url: str) -> None:
    for action in (upgrade, Store.open):
        with pytest.raises(RecsysError) as refused:
            action(url)
        message = str(refused.value)
        assert SECRET not in message
        assert "\n" not in message
        assert "RECSYS_DATABASE_URL" in message or "use sqlite:///FILE or postgresql://" in message


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"postgres://u:{SECRET}@h/n", "postgresql+psycopg://u:***@h/n"),
        (f"postgresql://h/n?user=u&password={SECRET}", "postgresql+psycopg://h/n?password=hidden&user=u"),
        ("sqlite:///recsys.db", "sqlite:///recsys.db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, expected: str) -> None:
    assert shown_url(url) == expected


@pytest.mark.parametrize("url", ["mysql://h/n", "mysql+pymysql://h/n", "oracle://h/n", "mssql://h/n", "mongodb://h"])
def test_another_product_is_named_with_what_works(url: str) -> None:
    with pytest.raises(StoreError, match=r"is no database of this version: use sqlite:///FILE or postgresql://"):
        connect(url)
