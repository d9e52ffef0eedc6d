"""The tables that the functions of this package take and give, and the one check at their door."""

from collections.abc import Mapping

import polars as pl

from features.errors import SchemaError

UTC = pl.Datetime("us", "UTC")

EVENTS: Mapping[str, pl.DataType] = {
    "user": pl.String(),
    "item": pl.String(),
    "at": UTC,  # null: not dated, comes before everything dated
    "position": pl.Int64(),  # null: no place given
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
    """Does nothing when `frame` holds every column of `schema` under its type; more columns are welcome.

    Raises:
        SchemaError: names the first column that is missing or of another type.
    """
    found = frame.collect_schema()
    for column, dtype in schema.items():
        if column not in found:
            raise SchemaError(f"{name} has no column {column!r}; it has {', '.join(found.names()) or 'none'}")
        if found[column] != dtype:
            raise SchemaError(f"column {column!r} of {name} is {found[column]}; it must be {dtype}")
