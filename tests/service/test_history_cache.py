"""Cached histories equal those of the store, which is queried only after a write. On both databases."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from recsys.data.feedback import Signals
from recsys.data.history import History
from recsys.service.state.history_cache import USER, HistoryCache
from recsys.store import Store
from recsys.store.records import EventDraft, ItemDraft

ITEMS = "abcdefgh"


REPEATING = Signals(repeats_in_session=1.0)
"""Of a store where people take items twice in a session, so that every event stays."""


@pytest.fixture
def asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the store was asked, one name per question."""
    store.put_items([ItemDraft(item_id=item_id) for item_id in ITEMS])
    calls: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        method = getattr(store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return method(*args, **kwargs)

        return call

    for name in ("events_mark", "recent_events"):
        monkeypatch.setattr(store, name, counted(name))
    return calls


def cache(store: Store, *, known: str = ITEMS, events: int = 10_000) -> HistoryCache:
    rows = {item_id: row for row, item_id in enumerate(known)}
    return HistoryCache(store, rows.get, REPEATING, limit=5, events=events)


def post(store: Store, user: str, items: Sequence[str]) -> None:
    store.add_events([EventDraft(user_id=user, item_id=item) for item in items])


def rows(history: History) -> list[int]:
    return history.rows.tolist()


def test_a_history_is_read_once_while_nothing_is_written(store: Store, asked: list[str]) -> None:
    post(store, "u", "abc")
    histories = cache(store)
    first = histories.get("u")
    assert rows(first) == [0, 1, 2]
    assert asked == ["events_mark", "recent_events"]
    assert histories.get("u") is first
    assert len(asked) == 2


def test_after_an_invalidation_only_the_mark_is_asked_unless_it_changed(store: Store, asked: list[str]) -> None:
    post(store, "u", "abc")
    histories = cache(store)
    first = histories.get("u")
    post(store, "v", "a")
    histories.invalidate()
    assert histories.get("u") is first
    assert asked == ["events_mark", "recent_events", "events_mark"]
    post(store, "u", "d")
    histories.invalidate()
    assert rows(histories.get("u")) == [0, 1, 2, 3]


def test_only_the_last_events_are_read(store: Store, asked: list[str]) -> None:
    post(store, "u", "abcdefgh")
    assert rows(cache(store).get("u")) == [3, 4, 5, 6, 7]
    assert asked


def test_a_history_with_unknown_items_is_read_again(store: Store, asked: list[str]) -> None:
    post(store, "u", "ah")
    items = {"a": 0}
    histories = HistoryCache(store, lambda item_id: items.get(item_id), REPEATING, limit=5)
    assert rows(histories.get("u")) == [0]
    items["h"] = 7
    histories.invalidate()
    assert rows(histories.get("u")) == [0, 7]
    assert asked.count("recent_events") == 2


def test_memory_is_bounded_and_who_was_dropped_is_read_again(store: Store, asked: list[str]) -> None:
    for user in "xyz":
        post(store, user, "ab")
    histories = cache(store, events=2 * (USER + 2))
    for user in "xyzzyx":
        assert rows(histories.get(user)) == [0, 1]
    assert asked.count("recent_events") == 4  # x, y, z, and x again


def test_what_is_written_while_a_history_is_read_is_not_missed(
    store: Store, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    post(store, "u", "a")
    histories = cache(store)
    read = store.recent_events

    def interrupted(user: str, *, limit: int) -> object:
        events = read(user, limit=limit)
        monkeypatch.setattr(store, "recent_events", read)
        post(store, "u", "b")
        histories.invalidate()
        return events

    monkeypatch.setattr(store, "recent_events", interrupted)
    assert rows(histories.get("u")) == [0]
    assert rows(histories.get("u")) == [0, 1]
    assert asked


def test_many_loaded_at_once_equal_those_loaded_one_by_one(store: Store, asked: list[str]) -> None:
    for user, items in (("a", "abc"), ("B", "hgfedcba"), ("é", "a")):
        post(store, user, items)
    store.add_events([EventDraft(user_id="none", item_id="a", event_id="gone")])
    store.delete_event("gone")
    users, histories = store.users(), cache(store, known="abcdefg")
    many = histories.load_many(users)
    assert [rows(one) for one in many] == [rows(histories.load(user)) for user in users]
    assert [one.at.tolist() for one in many] == [histories.load(user).at.tolist() for user in users]
    assert sorted(map(len, many)) == [0, 1, 3, 5]
    assert asked
