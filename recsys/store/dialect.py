"""Where the databases differ: inserts that skip or update existing rows, bulk inserts, and locks on rows."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, String, Table, any_, collate, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from recsys.errors import StoreError

ROWS_PER_STATEMENT = 1000
"""Also ids per statement."""
SQLITE_CACHE_KIB = 64_000
"""Cache of pages while many rows are written: an index is entered at random, and a page outside the cache is loaded again."""

T = TypeVar("T")


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """`values` in slices of `ROWS_PER_STATEMENT`."""
    return (values[start : start + ROWS_PER_STATEMENT] for start in range(0, len(values), ROWS_PER_STATEMENT))


def upsert(
    connection: Connection,
    table: Table,
    values: Sequence[Mapping[str, Any]],
    *,
    key: tuple[str, ...],
    changing: tuple[str, ...] = (),
) -> None:
    """Inserts `values`; where `key` exists already, sets the `changing` columns, or leaves the row if there are none."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement: Any = insert(table)
    if changing:
        statement = statement.on_conflict_do_update(
            index_elements=list(key), set_={name: statement.excluded[name] for name in changing}
        )
    else:
        statement = statement.on_conflict_do_nothing(index_elements=list(key))
    for chunk in chunks(values):
        connection.execute(statement, list(chunk))


def insert_new(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], *, key: str
) -> int:
    """Inserts the rows whose `key` is new, in their order, and returns their number.

    Many rows go through `COPY` into a table of this transaction on PostgreSQL, and straight to the driver on SQLite.
    """
    names = ", ".join(columns)
    if connection.dialect.name == "postgresql" and len(rows) > ROWS_PER_STATEMENT:
        return _copy_new(connection, table.name, names, rows, key)
    if connection.dialect.name == "sqlite" and len(rows) > ROWS_PER_STATEMENT:
        connection.exec_driver_sql(f"PRAGMA cache_size = -{SQLITE_CACHE_KIB}")
    placeholder = "?" if connection.dialect.name == "sqlite" else "%s"
    values = ", ".join(placeholder for _ in columns)
    statement = f"INSERT INTO {table.name} ({names}) VALUES ({values}) ON CONFLICT ({key}) DO NOTHING"
    return connection.exec_driver_sql(statement, list(rows)).rowcount if rows else 0


def among(connection: Connection, column: Column[str], values: Sequence[str]) -> ColumnElement[bool]:
    """Whether `column` is one of `values`: one parameter, however many they are."""
    if connection.dialect.name == "postgresql":
        return column == any_(literal(list(values), postgresql.ARRAY(String)))
    return column.in_(select(func.json_each(json.dumps(list(values))).table_valued("value").c.value))


def lock_rows(connection: Connection, column: Column[str], values: Sequence[str]) -> set[str]:
    """Locks the rows whose `column` is one of `values` until the transaction ends, by value, and returns the values that exist.

    SQLite has one writer at a time, so there is nothing to lock.
    """
    rows = select(column).where(among(connection, column, values))
    if connection.dialect.name == "postgresql":
        rows = rows.order_by(collate(column, "C")).with_for_update()
    return set(connection.scalars(rows))


def _copy_new(connection: Connection, table: str, names: str, rows: Sequence[tuple[Any, ...]], key: str) -> int:
    incoming = f"incoming_{table}"
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {incoming} ON COMMIT DROP AS SELECT 0::bigint AS row, {names} FROM {table} WITH NO DATA"
    )
    driver = connection.connection.cursor()
    try:
        with driver.copy(f"COPY {incoming} (row, {names}) FROM STDIN") as copy:
            for number, row in enumerate(rows):
                copy.write_row((number, *row))
    except connection.dialect.loaded_dbapi.Error as error:
        raise StoreError(f"the database refused the rows: {str(error).partition(chr(10))[0]}") from error
    finally:
        driver.close()
    inserted = connection.exec_driver_sql(
        f"INSERT INTO {table} ({names}) SELECT {names} FROM {incoming} ORDER BY row ON CONFLICT ({key}) DO NOTHING"
    )
    connection.exec_driver_sql(f"DROP TABLE {incoming}")
    return inserted.rowcount
