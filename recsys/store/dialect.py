"""The two places where the databases differ: inserting what may be there already, and how much fits into one statement."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

CHUNK = 1000
"""Rows or ids of one statement."""


T = TypeVar("T")


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """`values` in pieces of `CHUNK`."""
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))


def upsert(
    connection: Connection,
    table: Table,
    values: Sequence[Mapping[str, Any]],
    *,
    key: tuple[str, ...],
    changing: tuple[str, ...] = (),
) -> None:
    """Inserts `values`; where `key` is there already, sets the `changing` columns, or leaves the row if there are none."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement: Any = insert(table)
    if changing:
        statement = statement.on_conflict_do_update(
            index_elements=list(key), set_={name: statement.excluded[name] for name in changing}
        )
    else:
        statement = statement.on_conflict_do_nothing(index_elements=list(key))
    for part in chunks(values):
        connection.execute(statement, list(part))
