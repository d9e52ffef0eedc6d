"""Histories against sorting in plain Python."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import SchemaError
from features.schema import EVENTS
from features.sequences import user_sequences

Row = tuple[str, str, datetime | None, int | None]

ROWS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from("xyz"),
        st.none() | st.sampled_from([datetime(2020, 1, day, tzinfo=UTC) for day in (1, 2)]),
        st.none() | st.integers(-1, 2),
    ),
    max_size=15,
)


def frame(rows: list[Row]) -> pl.LazyFrame:
    return pl.LazyFrame([(*row, i) for i, row in enumerate(rows)], schema=dict(EVENTS), orient="row")


def naive(rows: list[Row], user: str) -> list[tuple[str, datetime | None]]:
    """Missing times and positions come first; equal ones keep the order of arrival, as Python's sort does."""
    events = [row for row in rows if row[0] == user]

    def key(row: Row) -> tuple[Any, ...]:
        return (row[2] is not None, row[2] or 0, row[3] is not None, row[3] or 0)

    return [(row[1], row[2]) for row in sorted(events, key=key)]


@given(ROWS, st.none() | st.integers(1, 5))
def test_histories_match_plain_sorting(rows: list[Row], max_length: int | None) -> None:
    histories = user_sequences(frame(rows), max_length=max_length).collect()
    assert histories["user"].to_list() == sorted({row[0] for row in rows})
    for user, items, at in histories.select("user", "items", "at").iter_rows():
        expected = naive(rows, user)[-(max_length or 99) :]
        assert list(zip(items, at, strict=True)) == expected


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_in_which_rows_are_read_does_not_matter(rows: list[Row], random: Any) -> None:
    table = frame(rows).collect()
    order = list(range(len(rows)))
    random.shuffle(order)
    assert user_sequences(table[order].lazy()).collect().equals(user_sequences(table.lazy()).collect())


def test_repeats_are_kept() -> None:
    assert user_sequences(frame([("a", "x", None, None)] * 3)).collect()["items"].to_list() == [["x", "x", "x"]]


def test_nothing_is_computed_before_it_is_asked_for() -> None:
    assert isinstance(user_sequences(frame([])), pl.LazyFrame)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (frame([]).drop("position"), "no column 'position'"),
        (frame([]).with_columns(pl.col("item").cast(pl.Int64())), "'item' of events is Int64"),
        (frame([]).with_columns(pl.col("at").dt.replace_time_zone(None)), "'at' of events is Datetime"),
    ],
)
def test_a_table_of_another_shape_is_refused_by_name(broken: pl.LazyFrame, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        user_sequences(broken)
