"""Sessions: by their ids, by equal times, by a gap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.sessions import (
    USUAL_GAP,
    learned_gap,
    repeats_within_session,
    session_numbers,
    strongest_in_session,
)

DAY = 86_400.0


def numbers(at: list[float], ids: list[int], *, owners: list[int] | None = None, gap: float = 60.0) -> list[int]:
    who = np.array(owners or [0] * len(at), dtype=np.int64)
    return session_numbers(np.array(at, dtype=np.float64), np.array(ids, dtype=np.int64), who, gap=gap).tolist()


NAN = float("nan")


@pytest.mark.parametrize(
    ("at", "ids", "sessions"),
    [
        ([0, 0, 0], [-1, -1, -1], [0, 0, 0]),  # equal times
        ([0, 60, 121], [-1, -1, -1], [0, 0, 1]),  # a gap
        ([0, 1, 2], [5, 5, 6], [0, 0, 1]),  # ids
        ([0, 3600, 7200], [5, 5, 5], [0, 0, 0]),  # an id goes before the gap
        ([0, 1, 2], [-1, 5, -1], [0, 1, 2]),  # some have an id
        ([0, DAY, 2 * DAY + 1], [5, 5, 5], [0, 0, 1]),  # an id that never changes
        ([NAN, NAN, NAN], [-1, -1, -1], [0, 1, 2]),  # undated
        ([NAN, NAN, NAN], [5, 5, 6], [0, 0, 1]),  # undated, with ids
        ([NAN, 0, 1], [-1, -1, -1], [0, 1, 1]),
        ([], [], []),
    ],
)
def test_a_session_ends_with_its_id_or_after_the_gap(at: list[float], ids: list[int], sessions: list[int]) -> None:
    assert numbers(at, ids) == sessions


def test_no_session_is_of_two_users() -> None:
    assert numbers([0, 0, 0, 0], [5, 5, 5, 5], owners=[0, 0, 1, 1]) == [0, 0, 1, 1]
    assert numbers([0, 0], [-1, -1], owners=[0, 1]) == [0, 1]


def test_the_gap_lies_between_short_pauses_and_long_ones() -> None:
    generator = np.random.default_rng(0)
    pauses = np.where(
        generator.random(2000) < 0.7, generator.uniform(5, 90, 2000), generator.uniform(40_000, 2e5, 2000)
    )
    gap = learned_gap(np.cumsum(pauses), np.zeros(2000, dtype=np.int64))
    assert 90 < gap < 40_000


def test_too_few_or_undated_events_leave_the_usual_gap() -> None:
    nobody = np.zeros(1000, dtype=np.int64)
    assert learned_gap(np.full(1000, np.nan), nobody) == USUAL_GAP
    assert learned_gap(np.arange(50.0), nobody[:50]) == USUAL_GAP
    assert learned_gap(np.arange(1000.0), np.arange(1000)) == USUAL_GAP  # each of another user


def chosen(
    rows: list[int], values: list[float], explicit: list[bool] | None = None, *, repeats: bool = False
) -> list[int]:
    """Which events of one session count."""
    flags = strongest_in_session(
        np.array(rows),
        np.zeros(len(rows), dtype=np.int64),
        np.array(values, dtype=np.float64),
        np.array(explicit or [False] * len(rows)),
        repeats=repeats,
    )
    return np.flatnonzero(flags).tolist()


def test_of_each_item_in_a_session_the_strongest_event_counts() -> None:
    assert chosen([0, 1, 0, 0, 1], [1, 1, 3, 4, 1]) == [1, 3]
    assert chosen([0, 0, 0], [4, 4, 1]) == [0]
    assert chosen([0, 0], [1, -2]) == [1]


def test_the_latest_explicit_event_counts_before_all_others() -> None:
    assert chosen([0, 0, 0], [2, -2, 4], [True, True, False]) == [1]
    assert chosen([0, 0], [-2, 2], [True, True]) == [1]


def test_where_people_take_items_twice_in_a_session_all_of_the_strongest_count() -> None:
    assert chosen([0, 0, 0, 1, 0], [1, 4, 4, 1, 3], repeats=True) == [1, 2, 3]
    assert chosen([0, 0], [2, 2], [True, True], repeats=True) == [1]


def test_events_of_other_sessions_are_events_of_their_own() -> None:
    flags = strongest_in_session(np.zeros(3, int), np.array([0, 0, 1]), np.ones(3), np.zeros(3, bool), repeats=False)
    assert flags.tolist() == [True, False, True]


def repeats(rows: list[int], sessions: list[int], values: list[float], counts: list[bool] | None = None) -> float:
    return repeats_within_session(
        np.array(rows, dtype=int),
        np.array(sessions, dtype=int),
        np.array(values, dtype=np.float64),
        np.array(counts or [True] * len(rows), dtype=np.bool_),
    )


def test_a_funnel_is_no_repetition() -> None:
    assert repeats([0, 0, 0, 1], [0, 0, 0, 0], [1, 3, 4, 1]) == 0
    assert repeats([0, 0, 1, 1], [0, 1, 0, 1], [1, 1, 1, 1]) == 0  # other sessions
    assert repeats([0, 0, 1, 2, 3], [0] * 5, [4, 4, 4, 4, 4]) == 0.25
    assert repeats([0, 0, 1], [0] * 3, [1, 1, 4], [False, False, True]) == 0
    assert repeats([], [], []) == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from([-2.0, 1.0, 4.0])), max_size=15))
def test_each_item_of_each_session_has_one_event(events: list[tuple[int, int, float]]) -> None:
    rows, sessions = np.array([e[0] for e in events], int), np.array([e[1] for e in events], int)
    values = np.array([e[2] for e in events], dtype=float)
    flags = strongest_in_session(rows, sessions, values, np.zeros(len(events), bool), repeats=False)
    pairs = list(zip(rows[flags].tolist(), sessions[flags].tolist(), strict=True))
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == set(zip(rows.tolist(), sessions.tolist(), strict=True))
