"""A clock that is set back never turns the order of things around."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recsys.store import Store, bundles
from recsys.store.records import EventDraft, ItemDraft

HOUR = 3600.0


def test_events_stay_in_the_order_of_their_arrival(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put_items([ItemDraft(item_id=item_id) for item_id in "abcd"])
    real = time.time
    for item_id, shift in zip("abcd", (0.0, -HOUR, -2 * HOUR, HOUR), strict=True):
        monkeypatch.setattr(time, "time", lambda shift=shift: real() + shift)
        store.add_events([EventDraft(user_id="u", item_id=item_id), EventDraft(user_id=item_id, item_id="a")])
    assert [event.item_id for event in store.recent_events("u", limit=10)] == list("abcd")
    others = [store.recent_events(user, limit=1)[0].at for user in "bc"]
    assert others == sorted(others, reverse=True, key=lambda at: at or 0.0)  # a user's time is no other user's


def test_a_time_that_was_given_stays(store: Store) -> None:
    store.put_items([ItemDraft(item_id="a")])
    early, late = datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(hours=1)
    drafts = [EventDraft(user_id="u", item_id="a", at=at) for at in (late, early)]
    assert [event.at for event in store.add_events(drafts)] == [late.timestamp(), early.timestamp()]
    (arrived,) = store.add_events([EventDraft(user_id="u", item_id="a")])
    assert [event.number for event in store.recent_events("u", limit=3)][-1] == arrived.number


def test_rollback_goes_by_the_order_of_activations(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for uri in ("one", "two", "three"):
        store.add_bundle(uri, {})
    start = datetime.now(UTC)
    for uri, shift in (("one", 0), ("two", -2), ("three", -1)):
        _set(monkeypatch, start + timedelta(hours=shift))
        store.activate_bundle(uri)
    assert store.rollback_bundle().uri == "two"


def _set(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return now.astimezone(tz)

    monkeypatch.setattr(bundles, "datetime", Clock)
