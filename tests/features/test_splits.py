"""What is measured on is never learned from."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import SchemaError
from features.schema import EVENTS
from features.sequences import user_sequences
from features.splits import FIT, TEST, VALIDATION, leave_one_out, temporal, temporal_cuts

START = datetime(2021, 5, 1, tzinfo=UTC)
ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 30)), max_size=25)


def frame(rows: list[tuple[str, int | None]]) -> pl.LazyFrame:
    """Events of (user, day)."""
    table = [
        (user, f"i{n}", None if day is None else START + timedelta(days=day), None, n)
        for n, (user, day) in enumerate(rows)
    ]
    return pl.LazyFrame(table, schema=dict(EVENTS), orient="row")


@given(ROWS)
def test_leave_one_out_holds_back_the_last_two_of_long_enough_histories(rows: list[tuple[str, int | None]]) -> None:
    for folds in user_sequences(leave_one_out(frame(rows))).collect()["folds"].to_list():
        last_two = [VALIDATION, TEST] if len(folds) >= 3 else []
        assert folds == [FIT] * (len(folds) - len(last_two)) + last_two


@given(ROWS)
def test_a_split_keeps_every_event_once(rows: list[tuple[str, int | None]]) -> None:
    events = frame(rows)
    cut = START + timedelta(days=10)
    for split in (leave_one_out(events), temporal(events, validation_from=cut, test_from=cut + timedelta(days=5))):
        assert split.drop("fold").sort("arrival").collect().equals(events.collect())


@pytest.mark.slow
@given(ROWS, st.integers(0, 30), st.integers(0, 10))
def test_nothing_learned_lies_after_a_cut(rows: list[tuple[str, int | None]], first: int, gap: int) -> None:
    validation_from, test_from = START + timedelta(days=first), START + timedelta(days=first + gap)
    split = temporal(frame(rows), validation_from=validation_from, test_from=test_from).collect()
    for at, fold in split.select("at", "fold").iter_rows():
        expected = FIT if at is None or at < validation_from else VALIDATION if at < test_from else TEST
        assert fold == expected


@given(ROWS)
def test_folds_never_go_back_inside_a_history(rows: list[tuple[str, int | None]]) -> None:
    cut = START + timedelta(days=12)
    split = temporal(frame(rows), validation_from=cut, test_from=cut + timedelta(days=6))
    for folds in user_sequences(split).collect()["folds"].to_list():
        assert folds == sorted(folds)


def test_cuts_leave_the_shares_asked_for() -> None:
    events = frame([("abc"[n % 3], n) for n in range(200)])
    validation_from, test_from = temporal_cuts(events, validation=0.2, test=0.1)
    folds = temporal(events, validation_from=validation_from, test_from=test_from).collect()["fold"]
    assert (folds == VALIDATION).mean() == pytest.approx(0.2, abs=0.02)
    assert (folds == TEST).mean() == pytest.approx(0.1, abs=0.02)


def test_a_temporal_split_without_times_says_what_to_do() -> None:
    with pytest.raises(SchemaError, match="use leave-one-out"):
        temporal_cuts(frame([("a", None)]))


def test_one_moment_for_all_events_leaves_nothing_to_learn_from_and_is_refused() -> None:
    with pytest.raises(SchemaError, match="nothing to learn from"):
        temporal_cuts(frame([("a", 3), ("b", 3)]))


def test_other_columns_come_through() -> None:
    events = frame([("a", 1)]).with_columns(kind=pl.lit("view"))
    assert leave_one_out(events).collect()["kind"].to_list() == ["view"]
