"""What a request reads of a user is what training read of the same user."""

from datetime import UTC, datetime, timedelta
from itertools import count

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data.build import dataset
from recsys.data.feedback import Signals
from recsys.data.feedback import speaking as of_user
from recsys.data.history import History
from recsys.store import Store
from recsys.store.records import Event, EventDraft, ItemDraft
from recsys.store.sessions import upgrade
from tests.databases import transaction

START = datetime(2022, 1, 1, tzinfo=UTC)
USERS = count()
EVENTS = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.none() | st.integers(0, 3),
        st.none() | st.integers(0, 2),
        st.sampled_from(["view", "cart", "purchase", "like", "dislike", "skip", "rating", "teleport"]),
        st.sampled_from([-1.0, 0.0, 0.5, 1.0, 3.65, 5.0]),
        st.sampled_from([None, "s1", "s2"]),
    ),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('history')}/history.db"


@pytest.fixture(scope="module")
def store(url: str) -> Store:
    upgrade(url)
    opened = Store.open(url)
    opened.put_items([ItemDraft(item_id=c) for c in "abcd"])
    return opened


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(EVENTS)
def test_it_equals_the_sequences_that_training_reads(
    store: Store, url: str, events: list[tuple[str, int | None, int | None, str, float, str | None]]
) -> None:
    """With equal times, equal or missing positions, repeats, kinds, weights, sessions, and events that were never dated."""
    user = f"user-{next(USERS)}"
    drafts = [
        EventDraft(
            user_id=user,
            item_id=item,
            at=START + timedelta(hours=at or 0, microseconds=7),
            position=position,
            kind=kind,
            weight=abs(weight) if kind == "rating" else weight,
            session_id=session_id,
        )
        for item, at, position, kind, weight, session_id in events
    ]
    made = store.add_events(drafts)
    undated = [event.number for event, given in zip(made, events, strict=True) if given[1] is None]
    with transaction(url) as connection:
        for number in undated:
            connection.exec_driver_sql("update events set at = null where number = ?", (number,))
    store.add_events([EventDraft(user_id="another", item_id="a", at=START, event_id="another")])  # speaks for its item
    data = dataset(store, holdout="none")
    speaking, number = data.speaking(), data.users.index(user)
    trained = speaking.history(number)
    history = data.signals.history(store.recent_events(user, limit=100), data.item_ids.index)
    np.testing.assert_array_equal(history.rows, trained.rows)
    np.testing.assert_allclose(history.at, trained.at, atol=2e-6)
    np.testing.assert_allclose(history.weights, trained.weights)
    np.testing.assert_array_equal(np.diff(history.sessions) > 0, np.diff(trained.sessions) > 0)
    span = slice(data.starts[number], data.starts[number + 1])
    again = of_user(data.rows[span], data.at[span], data.values[span], data.explicit[span], data.sessions[span])
    assert history.rejected.tolist() == again.rejected.tolist()


def event(item: str, at: float | None) -> Event:
    return Event(number=1, event_id="e", user_id="u", item_id=item, at=at, position=None, kind="view", weight=1.0)


def test_items_without_a_row_are_left_out_with_their_times() -> None:
    history = Signals().history([event("a", 1.0), event("gone", 2.0), event("b", None)], {"a": 5, "b": 0}.get)
    assert history.rows.tolist() == [5, 0]
    np.testing.assert_array_equal(history.at, [1.0, np.nan])


def test_no_events_are_an_empty_history() -> None:
    history = Signals().history([], dict[str, int]().get)
    assert len(history) == 0
    assert history.rows.dtype == np.int64


def test_the_last_events_are_cut_from_the_end() -> None:
    history = History.undated(np.arange(5))
    assert history.last(2).rows.tolist() == [3, 4]
    assert history.last(9) is history
