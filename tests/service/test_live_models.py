"""Popular, trending and newest items: counted as the store is now, filtered as other answers are, without a bundle."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from recsys.errors import InvalidRequest, StoreError
from recsys.retrieval.live_models import trend
from recsys.service import Options, Question, Recommender
from recsys.service.state import live_counts, window_counts
from recsys.service.state.live_counts import LiveCounts
from recsys.service.state.window_counts import WindowCounts
from recsys.signals import SignalTable
from recsys.store import Store, additions
from recsys.store.additions import CountedEvent
from recsys.store.records import EventDraft, ItemDraft
from recsys.store.sessions import upgrade
from tests.databases import transaction
from tests.worlds import Planted

HOUR = 3600.0
ITEMS = ("a", "b", "c", "d")


@pytest.fixture
def recommender(database_url: str) -> Iterator[Recommender]:
    """Over an untrained store, on both databases."""
    with closing(Store.open(database_url)) as store:
        store.put_items([ItemDraft(item_id=item_id, domain="x" if item_id < "c" else "y") for item_id in ITEMS])
        with closing(Recommender(store)) as service:
            yield service


def add(recommender: Recommender, item_id: str, *, hours: float = 0, times: int = 1, **more: object) -> None:
    """Events some hours ago, of a user who asks nothing."""
    at = datetime.now(UTC) - timedelta(hours=hours)
    recommender.add_events([EventDraft(user_id="other", item_id=item_id, at=at, **more)] * times)  # type: ignore[arg-type]


def ids(recommender: Recommender, model: str, window: str | None = None, **more: object) -> list[str]:
    options = Options(model=model, window=window, **more)  # type: ignore[arg-type]
    return [item.item_id for item in recommender.recommend(user_id="new", options=options).items]


def test_popular_items_count_by_weight_at_the_next_request(recommender: Recommender) -> None:
    add(recommender, "a", times=3)
    add(recommender, "b", times=2)
    assert ids(recommender, "popular") == ["a", "b"]
    add(recommender, "b", kind="purchase")
    add(recommender, "c", kind="dislike")
    add(recommender, "d", kind="rating", weight=5.0)
    assert ids(recommender, "popular") == ["b", "d", "a"]


def test_a_window_counts_what_happened_in_it(recommender: Recommender) -> None:
    add(recommender, "a", hours=0.5)
    add(recommender, "b", hours=2, times=2)
    add(recommender, "c", hours=24 * 20, times=3)
    assert ids(recommender, "popular", "1h") == ["a"]
    assert ids(recommender, "popular", "24h") == ids(recommender, "popular", "1d") == ["b", "a"]
    assert ids(recommender, "popular", "30d") == ids(recommender, "popular", "all") == ["c", "b", "a"]


def test_trending_items_grew_against_the_window_before(recommender: Recommender) -> None:
    add(recommender, "a", hours=30, times=100)
    add(recommender, "a", hours=1, times=100)
    add(recommender, "b", hours=30, times=1)
    add(recommender, "b", hours=1, times=12)
    add(recommender, "c", hours=1)
    assert ids(recommender, "trending") == ["b", "c"]
    assert ids(recommender, "trending", "7d") == ["a", "b", "c"]  # nothing before: by count


def test_growth_of_few_events_is_less_than_the_same_of_many() -> None:
    grown = trend(np.array([3.0, 150.0, 100.0]), np.array([0.0, 100.0, 153.0]))
    assert grown[1] > grown[0] > 0 > grown[2]
    doubled = trend(np.array([20.0, 200.0]), np.array([10.0, 100.0]))  # as all do
    assert np.abs(doubled).max() < 0.2


def test_the_newest_items_come_first(recommender: Recommender) -> None:
    assert ids(recommender, "newest") == ["d", "c", "b", "a"]
    recommender.put_items([ItemDraft(item_id="e")])
    recommender.put_items([ItemDraft(item_id="a", title="changed, not new")])
    assert ids(recommender, "newest", "1h", k=2) == ["e", "d"]


def test_filters_hold(recommender: Recommender) -> None:
    for item_id in ITEMS:
        add(recommender, item_id)
    recommender.add_events(
        [EventDraft(user_id="new", item_id="a"), EventDraft(user_id="new", item_id="b", kind="hide")]
    )
    assert set(ids(recommender, "popular")) == {"c", "d"}
    seen: dict[str, object] = {"include_seen": True, "include_open": True}
    assert set(ids(recommender, "popular", None, **seen)) == {"a", "c", "d"}
    assert set(ids(recommender, "popular", None, **seen, include_rejected=True)) == set(ITEMS)
    assert ids(recommender, "popular", exclude=("c",)) == ids(recommender, "popular", allow=("d", "a")) == ["d"]
    recommender.set_availability({"c": False})
    assert ids(recommender, "newest") == ["d"]
    recommender.delete_item("d")
    assert ids(recommender, "trending") == []
    question = Question(history=(), domain="x", options=Options(model="newest"))
    (answer,) = recommender.answer([question])
    assert not isinstance(answer, Exception)
    assert [item.item_id for item in answer.items] == ["b", "a"]


def test_no_bundle_is_needed_and_none_is_named(served: tuple[Recommender, Store, Planted]) -> None:
    recommender, _, planted = served
    answer = recommender.recommend(user_id="nobody", options=Options(model="newest", k=3, explain=True))
    assert (answer.bundle, answer.encoder, answer.degraded) == (None, "newest", ())
    assert [(item.source, item.because) for item in answer.items] == [("newest", ())] * 3
    newest = planted.world.items.collect()["item"].to_list()[-1]
    assert answer.items[0].item_id == newest
    by_bundle = recommender.recommend(user_id="nobody", options=Options(encoder="popular"))
    assert by_bundle.bundle == planted.bundle


def test_what_is_deleted_counts_no_more(recommender: Recommender) -> None:
    (event,) = recommender.add_events([EventDraft(user_id="u", item_id="a")])
    recommender.add_events([EventDraft(user_id="v", item_id="b"), EventDraft(user_id="v", item_id="c")])
    assert ids(recommender, "popular", "24h") == ["a", "b", "c"]
    recommender.delete_event(event.event_id)
    assert ids(recommender, "popular", "24h") == ids(recommender, "popular") == ["b", "c"]
    recommender.delete_user("v")
    assert ids(recommender, "popular", "24h") == ids(recommender, "trending") == []


def test_another_process_is_followed(
    recommender: Recommender, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_counts, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(live_counts, "CHECK_SHARE", 1e9)
    with closing(Store.open(database_url)) as other:
        other.add_events([EventDraft(user_id="u", item_id="a"), EventDraft(user_id="v", item_id="b")])
        assert ids(recommender, "popular") == ["a", "b"]
        other.delete_user("u")
    _wait_until(recommender, ["b"])


def _wait_until(recommender: Recommender, expected: Sequence[str]) -> None:
    until = time.monotonic() + 10
    while ids(recommender, "popular") != expected:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_an_event_that_is_committed_late_counts(recommender: Recommender, database_url: str) -> None:
    add(recommender, "a", event_id="first")
    add(recommender, "b", event_id="second")
    row = _take_out(database_url, "first")
    assert ids(recommender, "popular") == ["b"]
    with transaction(database_url) as connection:
        names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
        connection.execute(text(f"INSERT INTO events ({names}) VALUES ({values})"), row)
    add(recommender, "b")
    assert ids(recommender, "popular") == ["b", "a"]


def _take_out(database_url: str, event_id: str) -> dict[str, object]:
    with transaction(database_url) as connection:
        row = connection.execute(text("SELECT * FROM events WHERE event_id = :id"), {"id": event_id}).one()
        connection.execute(text("DELETE FROM events WHERE event_id = :id"), {"id": event_id})
    return dict(row._mapping)


def test_undated_and_future_events(recommender: Recommender, database_url: str) -> None:
    with closing(Store.open(database_url)) as store:
        values = {"user_id": "u", "position": None, "kind": "view", "weight": 1.0, "session_id": None}
        store.insert_events(
            [
                {**values, "event_id": "undated", "item_id": "a", "at": None},
                {**values, "event_id": "far", "item_id": "b", "at": time.time() + 1e7},
                {**values, "event_id": "old", "item_id": "c", "at": -1e9},
                {**values, "event_id": "soon", "item_id": "d", "at": time.time() + 60},
            ]
        )
    assert set(ids(recommender, "popular", "all")) == set(ITEMS)
    assert ids(recommender, "popular", "30d") == ids(recommender, "trending", "1h") == ["d"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "hot"}, "choose one of popular, trending, newest"),
        ({"model": "popular", "window": "24"}, "popular takes 1h to 720h, 1d to 30d, or all"),
        ({"model": "popular", "window": "0h"}, "popular takes"),
        ({"model": "popular", "window": ""}, "popular takes"),
        ({"model": "newest", "window": "31d"}, "newest takes"),
        ({"model": "newest", "window": "\u0661d"}, "newest takes"),
        ({"model": "trending", "window": "all"}, "trending takes 1h to 720h, 1d to 30d"),
        ({"window": "1d"}, "goes with model="),
        ({"model": "popular", "encoder": "popular"}, "choose one"),
    ],
)
def test_what_cannot_be_is_refused(recommender: Recommender, options: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        recommender.recommend(user_id="u", options=Options(**options))  # type: ignore[arg-type]


def test_an_item_is_no_history(recommender: Recommender) -> None:
    with pytest.raises(InvalidRequest, match="for a user or a history"):
        recommender.similar("a", options=Options(model="popular"))


def test_an_empty_window_is_said(recommender: Recommender) -> None:
    add(recommender, "a", hours=10)
    answer = recommender.recommend(user_id="u", options=Options(model="popular", window="2h", layers=3))
    assert [warning.what for warning in answer.degraded] == ["layers", "window", "k"]
    assert "in the last 2 hours: ask for a longer window" in answer.degraded[1].why


def test_the_last_counts_answer_while_the_store_is_away(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(recommender, "a")
    assert ids(recommender, "popular") == ["a"]

    waits = []

    def fail(_: Store) -> int:
        if threading.current_thread() is threading.main_thread():
            waits.append(1)
        raise StoreError("away")

    monkeypatch.setattr(Store, "changes", fail)
    answer = recommender.recommend(history=[], options=Options(model="popular"))
    assert [item.item_id for item in answer.items] == ["a"]
    assert "store" in [warning.what for warning in answer.degraded]
    recommender.recommend(history=[], options=Options(model="popular"))
    assert len(waits) == 1  # further questions do not wait for it


def test_sums_are_those_of_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_counts, "FIRST_CAPACITY", 8)
    generator, counts, now, events = np.random.default_rng(0), WindowCounts(), 1.7e9, []
    for _ in range(60):
        items, ages = generator.integers(0, 5, 7), generator.random(7) * 1600 * HOUR
        counts.add(items, np.asarray(now - ages), items.astype(np.float64) + 1, now=now)
        events += [*zip(items.tolist(), ages.tolist(), strict=True)]
        for hours in (1, 300, 720):
            edge = now - hours * HOUR
            start = (edge // window_counts.BUCKET_SECONDS) * window_counts.BUCKET_SECONDS
            inside = [item for item, age in events if now - age >= start]
            before = [item for item, age in events if start - hours * HOUR <= now - age < start]
            weights = counts.weights_within(hours, now=now)
            numbers, earlier = counts.events_within(hours, now=now)
            for item in range(len(weights)):
                assert weights[item] == inside.count(item) * (item + 1)
                assert (numbers[item], earlier[item]) == (inside.count(item), before.count(item))


def test_memory_does_not_grow_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_counts, "FIRST_CAPACITY", 64)
    counts = WindowCounts()
    for hour in range(5000):
        now = 1.7e9 + hour * HOUR
        counts.add(np.array([0]), np.array([now]), np.ones(1), now=now)
    assert len(counts._buckets) <= 4 * 1440
    assert counts.total[0] == 5000


def test_the_counts_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    upgrade(url)
    with closing(Store.open(url)) as store:
        store.put_items([ItemDraft(item_id="a")])
        counts = LiveCounts(store, SignalTable())
        reads = list[int]()

        def counted(*arguments: Any, **options: Any) -> Iterator[list[CountedEvent]]:
            reads.append(1)
            return additions.events_added(*arguments, **options)

        monkeypatch.setattr(live_counts, "events_added", counted)
        counts.follow()
        counts.follow()  # nothing new: nothing is read
        assert len(reads) == 1
        store.add_events([EventDraft(user_id="ann", item_id="a")])
        counts.follow()
        assert len(reads) == 2
