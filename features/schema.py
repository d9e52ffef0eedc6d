"""Schemas of the tables that the functions of this package take and return, and the check of their inputs."""

from collections.abc import Mapping

import polars as pl

from features.errors import SchemaError

UTC = pl.Datetime("us", "UTC")

EVENTS: Mapping[str, pl.DataType] = {
    "user": pl.String(),
    "item": pl.String(),
    "at": UTC,  # null: undated, sorts before all dated events
    "position": pl.Int64(),  # null: unknown
    "arrival": pl.Int64(),  # unique: the order in which the store took the events
}
"""One row an event. The order of a history is (at, position, arrival)."""

ITEMS: Mapping[str, pl.DataType] = {
    "item": pl.String(),
    "title": pl.String(),
    "attributes": pl.String(),  # a JSON object
}
"""One row an item."""


def check_schema(frame: pl.LazyFrame, schema: Mapping[str, pl.DataType], *, name: str) -> None:
    """Checks that `frame` has every column of `schema` with its type; more columns are allowed.

    Raises:
        SchemaError: the first column that is missing or of another type, by name.
    """
    columns = frame.collect_schema()
    for column, dtype in schema.items():
        if column not in columns:
            raise SchemaError(f"{name} has no column {column!r}; it has {', '.join(columns.names()) or 'none'}")
        if columns[column] != dtype:
            raise SchemaError(f"column {column!r} of {name} is {columns[column]}; it must be {dtype}")
