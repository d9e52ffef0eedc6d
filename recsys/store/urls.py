"""Database URLs: which ones work, with which driver, and how they are shown."""

from contextlib import suppress
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from recsys.errors import StoreError
from recsys.private_files import make_private, open_private

WAYS = "use sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
SECRETS = ("password", "passfile", "sslkey", "key", "token")
VALUES = ("DETAIL:", "CONTEXT:", "LINE ")
"""How PostgreSQL begins the lines that repeat values of a statement."""


def parse_url(url: str) -> URL:
    """`url` with the driver that this version uses.

    Raises:
        StoreError: it cannot be read, or names a product or a driver that is not used here. The message never repeats the URL:
            what cannot be read cannot be cut where its password begins.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError(
            f"the database URL cannot be read: {WAYS}; write @ : / and % in a password as %40 %3A %2F %25"
        ) from None
    if parsed.drivername not in DRIVERS:
        raise StoreError(f"{parsed.drivername!r:.40} is no database of this version: {WAYS}")
    parsed = parsed.set(drivername=DRIVERS[parsed.drivername])
    if parsed.get_backend_name() != "sqlite" and "@" in f"{parsed.host}{parsed.database}":
        raise StoreError(f"the database URL has an @ too many: {WAYS}; write one in a password as %40")
    return parsed


def shown_url(url: str) -> str:
    """`url` without its password, for people and logs."""
    parsed = parse_url(url)
    query = {
        key: "hidden" if any(word in key.lower() for word in SECRETS) else value for key, value in parsed.query.items()
    }
    return parsed.set(query=query).render_as_string(hide_password=True)


def make_database_private(url: URL) -> None:
    """Creates the file of an SQLite database, readable by its owner alone, and makes an older one and its journals so.

    SQLite gives the files `-wal` and `-shm`, which it makes itself, the mode of the database.
    """
    name = url.database or ""
    if url.get_backend_name() != "sqlite" or not name or name.startswith((":memory:", "file:")):
        return
    path = Path(name)
    if not path.exists():
        with suppress(OSError):  # SQLite says why there can be no such file
            open_private(path, "ab").close()
    for suffix in ("", "-wal", "-shm", "-journal"):
        make_private(path.with_name(path.name + suffix))


def reason(error: SQLAlchemyError) -> str:
    """What went wrong in one line: neither the statement nor its parameters, nor the rows that PostgreSQL repeats."""
    text = str(getattr(error, "orig", None) or error)
    lines = [line.strip() for line in text.splitlines()]
    end = next((number for number, line in enumerate(lines) if line.startswith(VALUES)), len(lines))
    return " ".join(line for line in lines[:end] if line)[:500]
