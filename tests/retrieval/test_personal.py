"""The counters of a history, and what is learned from them of what comes again."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.dataset import Dataset
from recsys.data.feedback import Signals
from recsys.data.history import History
from recsys.data.splits import split_by_fold
from recsys.errors import TrainingError
from recsys.retrieval.personal import (
    CONSTANTS,
    DAY,
    FEATURES,
    PersonalConfig,
    counters,
    decayed_counts,
    untrained,
    updated,
)
from recsys.retrieval.source import Query
from recsys.training.personal import fit_personal, personal_examples
from recsys.training.tuning import ndcg_at_10
from tests.retrieval.worlds import histories

ITEMS = 30
STAPLES = 3
"""Items that come every second session, by turns; all others come once."""


def of_sessions(*sessions: list[int], day: float = 1.0) -> History:
    """One session a day, by default."""
    rows = np.array([row for session in sessions for row in session], dtype=np.int64)
    number = np.repeat(np.arange(len(sessions)), [len(session) for session in sessions])
    return History(rows, (number * day * DAY).astype(np.float64), np.ones(len(rows)), number)


def feature(history: History, row: int, name: str, *, open_events: int = 0) -> float:
    counted = counters(history, open_events=open_events)
    return float(counted.features[counted.items.tolist().index(row), FEATURES.index(name)])


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(0.1, 4), st.floats(0, 50)), min_size=1, max_size=30),
    st.sampled_from(CONSTANTS["days"]),
)
def test_a_counter_falls_and_rises_event_by_event(events: list[tuple[int, float, float]], constant: float) -> None:
    at = np.cumsum([days for *_, days in events]) * DAY
    rows = np.array([row for row, *_ in events])
    history = History(rows, at, np.array([weight for _, weight, _ in events]), np.arange(len(rows)))
    stepped, now = dict.fromkeys(rows.tolist(), 0.0), 0.0
    for (row, weight, _), moment in zip(events, at / DAY, strict=True):
        stepped = {item: counter * np.exp(-(moment - now) / constant) for item, counter in stepped.items()}
        stepped[row], now = stepped[row] + weight, moment
    for row, counter in stepped.items():
        assert np.exp(feature(history, row, f"counter of {constant:g} days")) == pytest.approx(
            counter, rel=1e-3, abs=1e-5
        )


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(0.1, 4), st.floats(0, 50)), min_size=1, max_size=30),
    st.floats(0, 50),
)
def test_counts_that_are_updated_are_those_of_the_whole_history(
    events: list[tuple[int, float, float]], since: float
) -> None:
    items, weights, gaps = (np.array(values) for values in zip(*events, strict=True))
    items = np.unique(items, return_inverse=True)[1]
    at, now = np.cumsum(gaps), float(gaps.sum()) + since
    constants = np.array([constant for values in CONSTANTS.values() for constant in values])
    counts, last = np.zeros((items.max() + 1, len(constants))), np.zeros(items.max() + 1)
    for item, weight, moment in zip(items, weights, at, strict=True):
        only = slice(item, item + 1)  # each item's own clock
        counts[only] = updated(counts[only], moment - last[only], np.array([weight]), constants)
        last[item] = moment
    counts = updated(counts, now - last, np.zeros(len(last)), constants)
    np.testing.assert_allclose(counts, decayed_counts(items, now - at, weights, constants), rtol=1e-9, atol=1e-12)


def test_the_clocks_stand_at_the_next_event_and_the_next_session() -> None:
    history = of_sessions([1, 2], [2], [3, 1])
    assert feature(history, 3, "sessions since") == pytest.approx(np.log(2))
    assert feature(history, 2, "sessions since") == pytest.approx(np.log(3))
    assert feature(history, 2, "events since") == pytest.approx(np.log(4))
    assert feature(history, 2, "days since") == pytest.approx(np.log(2))
    assert feature(history, 2, "times") == pytest.approx(np.log(2))
    in_session = feature(history, 2, "sessions since", open_events=2)
    assert in_session == pytest.approx(np.log(2))  # the session of 3 and 1 goes on
    assert feature(history, 1, "in the open session", open_events=2) == 1
    assert feature(history, 2, "in the open session", open_events=2) == 0


def test_what_comes_later_than_its_usual_gap_is_overdue() -> None:
    weekly = of_sessions([1, 2], [1], [2, 1], [1], [1])
    assert feature(weekly, 2, "overdue") > 0
    assert feature(weekly, 1, "overdue") == 0
    assert feature(weekly, 2, "came once") == 0


def test_undated_histories_have_no_clock_of_days() -> None:
    counted = counters(History.undated(np.array([1, 2, 1])), open_events=0)
    assert np.isfinite(counted.features).all()
    days = [i for i, name in enumerate(FEATURES) if "days" in name]
    assert (counted.features[:, days] == counted.features[0, days]).all()


def staples(*, users: int = 60, sessions: int = 12, seed: int = 0) -> Dataset:
    """Each user has a staple, which comes in every second session last, after two other items; undated, with sessions."""
    generator, lists, numbers = np.random.default_rng(seed), list[list[int]](), list[int]()
    for user in range(users):
        rows = list[int]()
        for session in range(sessions):
            others = generator.integers(STAPLES, ITEMS, 2).tolist()
            basket = [*others, user % STAPLES] if session % 2 else others
            rows += basket
            numbers += [user * sessions + session] * len(basket)
        lists.append(rows)
    data = histories(*lists, items=ITEMS)
    folds = data.folds.copy()
    folds[data.starts[1:] - 1] = 2
    folds[data.starts[1:] - 2] = 1
    return replace(data, folds=folds, sessions=np.array(numbers), signals=Signals(repeats_in_session=0.0))


def test_it_learns_what_is_due() -> None:
    folds = split_by_fold(staples())
    source = fit_personal(folds.refit, PersonalConfig(), seed=0)
    figure = ndcg_at_10(source, folds.test, items=ITEMS, include_seen=True).mean()
    chance = ndcg_at_10(untrained(folds.refit, PersonalConfig()), folds.test, items=ITEMS, include_seen=True).mean()
    assert figure > 0.95
    assert chance < 0.6


def test_what_was_never_consumed_has_no_score_and_what_came_after_training_has_one() -> None:
    source = fit_personal(split_by_fold(staples()).refit, PersonalConfig(), seed=0)
    new = ITEMS + 4
    query = Query(History.undated(np.array([1, new, 5, new])), np.ones(ITEMS + 5, dtype=np.bool_))
    scores = source.score([query], np.array([[1, new, 2, -1, ITEMS + 3]]))[0]
    assert np.isfinite(scores[:2]).all()
    assert np.isnan(scores[2:]).all()
    assert set(source.search([query], k=5).rows[0].tolist()) == {1, new, 5, -1}


def test_where_nobody_comes_back_there_is_nothing_to_learn() -> None:
    with pytest.raises(TrainingError, match="nobody had an item twice"):
        fit_personal(histories([0, 1, 2], [2, 1], items=3), PersonalConfig(), seed=0)


def test_items_of_the_open_session_are_no_candidates_of_the_fit() -> None:
    data = staples()
    both = replace(data, signals=Signals(repeats_in_session=1.0))
    first, second = (fit_personal(each, PersonalConfig(), seed=0).weights for each in (data, both))
    index = FEATURES.index("in the open session")
    assert first[index] == 0  # none of them is in it, so it says nothing
    assert second[index] != 0


def test_where_little_can_be_learned_it_is_the_score_by_hand() -> None:
    weights = fit_personal(staples(), PersonalConfig(pull=1e6), seed=0).weights
    by_hand = np.array([name == "counter of 10 sessions" for name in FEATURES])
    np.testing.assert_allclose(weights, by_hand, atol=1e-3)


def test_a_case_whose_item_last_came_before_the_window_teaches_nothing() -> None:
    data, config = staples(), PersonalConfig(window=5)
    examples = personal_examples(untrained(data, config), data, config, seed=0)
    assert 0 < len(examples) < len(personal_examples(untrained(data, config), data, PersonalConfig(), seed=0))
    np.testing.assert_allclose(np.add.reduceat(examples.shares, examples.offsets[:-1]), 1)
