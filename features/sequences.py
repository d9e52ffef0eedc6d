"""Events grouped into histories."""

from collections.abc import Sequence

import polars as pl

from features.schema import EVENTS, check_schema

ORDER = ("at", "position", "arrival")


def user_sequences(events: pl.LazyFrame, *, max_length: int | None = None, columns: Sequence[str] = ()) -> pl.LazyFrame:
    """One row per user with lists `items` and `at`, oldest first, cut to the last `max_length` events; sorted by user.

    Ordered by time, then position, then arrival: a total order, so that the result never depends on
    the order of the rows. Undated events come first. A column `fold`, if there is one, becomes a list `folds`, and each of
    `columns` a list of its name.

    Raises:
        SchemaError: `events` lacks a column of `EVENTS`, or has it with another type.
    """
    check_schema(events, EVENTS, name="events")
    folds = [pl.col("fold").alias("folds")] if "fold" in events.collect_schema() else []
    lists = [pl.col("item").alias("items"), pl.col("at"), *folds, *map(pl.col, columns)]
    return (
        events.sort("user", *ORDER, nulls_last=False)
        .group_by("user", maintain_order=True)
        .agg(lists if max_length is None else [column.tail(max_length) for column in lists])
    )
