"""Splits of events into folds: to fit on, to choose settings on (validation), to measure on (test)."""

from datetime import datetime

import polars as pl

from features.errors import SchemaError
from features.schema import EVENTS, check_schema
from features.sequences import ORDER

FIT, VALIDATION, TEST = 0, 1, 2


def leave_one_out(events: pl.LazyFrame, *, min_length: int = 3) -> pl.LazyFrame:
    """The events with a column `fold`: each user's last event is `TEST`, the last but one `VALIDATION`, all others `FIT`.

    Users with fewer than `min_length` events are `FIT` altogether. With a column `target` (bool) these are each user's last
    targets and their number, and every other event is of the fold of the last target before it.

    Raises:
        SchemaError: `events` lacks a column of `EVENTS`, or has it with another type.
    """
    check_schema(events, EVENTS, name="events")
    target = pl.col("target") if "target" in events.collect_schema() else pl.col("user").is_not_null()
    last_target = pl.col("number").max().over("user") - pl.col("number")  # 0: the last target, and what comes after it
    fold = pl.when(last_target == 0).then(TEST).when(last_target == 1).then(VALIDATION).otherwise(FIT)
    long_enough = pl.col("number").max().over("user") >= min_length
    return (
        events.sort("user", *ORDER, nulls_last=False)
        .with_columns(number=target.cast(pl.Int64).cum_sum().over("user"))
        .with_columns(fold=pl.when(long_enough).then(fold).otherwise(FIT).cast(pl.UInt8))
        .drop("number")
    )


def temporal(events: pl.LazyFrame, *, validation_from: datetime, test_from: datetime) -> pl.LazyFrame:
    """The events with a column `fold` by one time cut for all users; undated events, which come first, are `FIT`.

    Raises:
        SchemaError: `events` lacks a column of `EVENTS`, or has it with another type.
    """
    check_schema(events, EVENTS, name="events")
    at = pl.col("at")
    fold = pl.when(at >= test_from).then(TEST).when(at >= validation_from).then(VALIDATION).otherwise(FIT)
    return events.sort("user", *ORDER, nulls_last=False).with_columns(fold=fold.cast(pl.UInt8))


def temporal_cuts(events: pl.LazyFrame, *, validation: float = 0.1, test: float = 0.1) -> tuple[datetime, datetime]:
    """The two moments that leave the given shares of dated events after them: (validation from, test from).

    Raises:
        SchemaError: `events` lacks a column of `EVENTS`, no event has a time, or nothing lies before the cuts.
    """
    check_schema(events, EVENTS, name="events")
    at = pl.col("at").drop_nulls()
    cuts = events.select(
        at.quantile(1 - validation - test, "higher").alias("validation"),
        at.quantile(1 - test, "higher").alias("test"),
        at.min().alias("first"),
    ).collect()
    validation_from, test_from, first = cuts.row(0)
    if validation_from is None:
        raise SchemaError("events have no times: a temporal split needs them; use leave-one-out")
    if first == validation_from:
        raise SchemaError(
            f"no event before {validation_from}: a temporal split has nothing to learn from; use leave-one-out"
        )
    return validation_from, test_from
