"""Which rows an answer may hold."""

from dataclasses import replace

import numpy as np

from recsys.data.history import NO_ROWS, History
from recsys.data.splits import EvalCases
from recsys.ranking.filters import allowed, over_catalogue


def test_rows_are_taken_out_of_a_copy() -> None:
    active = np.array([True, True, False, True, True])
    kept = allowed(active, without=[np.array([0, 2]), np.array([4, 4]), NO_ROWS])
    assert kept.tolist() == [False, True, False, True, False]
    assert active.tolist() == [True, True, False, True, True]


def test_rows_newer_than_the_snapshot_are_passed_over() -> None:
    assert allowed(np.ones(2, dtype=np.bool_), without=[np.array([1, 2, 99])]).tolist() == [True, False]


def test_models_are_measured_without_what_was_seen_unless_asked() -> None:
    histories = (History.undated(np.array([1, 1])), History.undated(NO_ROWS))
    cases = EvalCases(("ann", "bob"), histories, np.array([0, 0]))
    hidden, whole = over_catalogue(cases, items=3, include_seen=False)
    assert hidden.allowed.tolist() == [True, False, True]
    assert whole.allowed.all()
    assert hidden.history is histories[0]
    assert all(query.allowed.all() for query in over_catalogue(cases, items=3, include_seen=True))


def test_items_of_the_open_session_and_rejected_ones_are_left_out_though_seen_ones_are_not() -> None:
    history = replace(History.undated(np.array([0, 1, 2])), rejected=np.array([4]))
    cases = EvalCases(("ann",), (history,), np.array([0]), open_events=np.array([2]), leave_out_open=True)
    (query,) = over_catalogue(cases, items=6, include_seen=True)
    assert query.allowed.tolist() == [True, False, False, True, False, True]
    assert query.open_events == 2
    (again,) = over_catalogue(replace(cases, leave_out_open=False), items=6, include_seen=True)
    assert again.allowed.tolist() == [True, True, True, True, False, True]
    (unasked,) = over_catalogue(cases.without_sessions(), items=6, include_seen=True)
    assert unasked.allowed[1]
