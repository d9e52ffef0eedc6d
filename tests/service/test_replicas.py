"""Two processes over one database, each with its own memory: what one writes, the other shows. On both databases."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from recsys.errors import StoreError
from recsys.service import Options, Recommender
from recsys.service.state import background_sync
from recsys.store import Store, journal
from recsys.store.records import EventDraft, ItemDraft
from tests.databases import transaction
from tests.worlds import Planted, fill

Replicas = tuple[Recommender, Recommender]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take its time."""
    monkeypatch.setattr(background_sync, "MAX_WAIT", 5.0)


@pytest.fixture
def replicas(database_url: str, trained: Planted) -> Iterator[Replicas]:
    """Two recommenders, each with a store of its own, as in two processes."""
    stores = [Store.open(database_url) for _ in range(2)]
    fill(stores[0], trained.world)
    stores[0].add_bundle(trained.bundle, {})
    stores[0].activate_bundle(trained.bundle)
    one, two = (Recommender(store) for store in stores)
    yield one, two
    for recommender, store in zip((one, two), stores, strict=True):
        recommender.close()
        store.close()


def wait() -> None:
    time.sleep(background_sync.POLL_SECONDS + 0.01)


def shown(recommender: Recommender, start: str) -> list[str]:
    return [item.item_id for item in recommender.recommend(history=[start], options=Options(k=100)).items]


def test_items_put_and_deleted_on_one_are_seen_on_the_other(replicas: Replicas, trained: Planted) -> None:
    one, two = replicas
    start, twin = next(iter(trained.world.successor.items()))
    old = one.item(twin)
    one.put_items([ItemDraft(item_id="new", title=old.title, attributes=old.attributes)])
    assert "new" in shown(one, start)
    wait()
    assert "new" in shown(two, start)
    assert two.similar("new", options=Options(k=3, encoder="text")).items[0].item_id == twin
    two.delete_item(twin)
    assert twin not in shown(two, start)
    wait()
    assert twin not in shown(one, start)
    assert "new" in shown(one, start)


def test_what_is_sold_out_on_one_is_not_shown_by_the_other(replicas: Replicas, trained: Planted) -> None:
    one, two = replicas
    start, follower = next(iter(trained.world.successor.items()))
    one.set_availability({follower: False})
    wait()
    assert follower not in shown(two, start)
    assert two.similar(follower).degraded == ()  # no text waits to be encoded
    assert two.item(follower).available is False
    two.set_availability({follower: True})
    wait()
    assert follower in shown(one, start)


def test_a_changed_title_is_shown_by_the_other(replicas: Replicas, trained: Planted) -> None:
    one, two = replicas
    start, follower = next(iter(trained.world.successor.items()))
    one.put_items([ItemDraft(item_id=follower, title="Renamed")])
    wait()
    titles = {item.item_id: item.title for item in two.recommend(history=[start], options=Options(k=100)).items}
    assert titles[follower] == "Renamed"


def test_events_of_one_count_on_the_other(replicas: Replicas, trained: Planted) -> None:
    one, two = replicas
    items = list(trained.world.successor)
    assert two.recommend(user_id="new").degraded
    event = one.add_events([EventDraft(user_id="new", item_id=items[0])])[0]
    wait()
    asked = Options(encoder="sasrec", k=5)
    answer = two.recommend(user_id="new", options=asked)
    assert not answer.degraded
    assert answer.items == two.recommend(history=[items[0]], options=asked).items
    one.delete_event(event.event_id)
    wait()
    assert two.recommend(user_id="new").degraded
    one.add_events([EventDraft(user_id="new", item_id=items[1])])
    one.delete_user("new")
    wait()
    assert two.recommend(user_id="new").degraded


def test_a_user_forgotten_by_one_is_forgotten_by_the_other_and_new_when_coming_back(
    replicas: Replicas, trained: Planted, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The impressions of both are in memory when the user is deleted."""
    one, _ = replicas
    items = list(trained.world.successor)
    asked = Options(encoder="sasrec", k=5)
    one.add_events([EventDraft(user_id="forgotten", item_id=items[0])])
    wait()
    monkeypatch.setattr(journal, "POLL_SECONDS", 60)
    time.sleep(0.2)  # both journals wait by then
    assert not any(recommender.recommend(user_id="forgotten", options=asked).degraded for recommender in replicas)
    one.delete_user("forgotten")
    wait()
    assert all(recommender.recommend(user_id="forgotten").degraded for recommender in replicas)
    one.add_events([EventDraft(user_id="forgotten", item_id=items[1])])
    assert (
        one.recommend(user_id="forgotten", options=asked).items
        == one.recommend(history=[items[1]], options=asked).items
    )
    for recommender in replicas:
        recommender._journal.flush()
    with transaction(database_url) as connection:
        users = connection.exec_driver_sql("select distinct user_id from impressions").scalars().all()
    assert users == [None]


def test_an_event_of_an_item_that_came_later_is_not_lost(replicas: Replicas, trained: Planted) -> None:
    """The other replica may read the event before it knows the item; once it does, the event counts."""
    one, two = replicas
    twin = one.item(next(iter(trained.world.successor)))
    two._live._sync.next_poll = time.monotonic() + 60  # as if it had just asked
    one.put_items([ItemDraft(item_id="late", title=twin.title, attributes=twin.attributes)])
    one.add_events([EventDraft(user_id="eager", item_id="late")])
    assert [one.what for one in two.recommend(user_id="eager").degraded] == ["user"]
    two._live._sync.next_poll = 0
    two.recommend(user_id="eager")  # applies the item
    answer = two.recommend(user_id="eager", options=Options(encoder="text", k=1))
    assert answer.items[0].item_id == twin.item_id


def test_own_events_count_at_once(replicas: Replicas, trained: Planted) -> None:
    one, _ = replicas
    items = list(trained.world.successor)
    options = Options(encoder="sasrec", k=5)
    for length in range(1, 6):
        one.add_events([EventDraft(user_id="u", item_id=items[length], at=datetime(2024, 1, length, tzinfo=UTC))])
        expected = one.recommend(history=items[1 : length + 1], options=options).items
        assert one.recommend(user_id="u", options=options).items == expected


def test_what_was_known_of_users_and_lists_is_shown_while_the_database_is_away(
    replicas: Replicas, trained: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = replicas
    items = list(trained.world.successor)[:3]
    one.put_playlist("mine", None, items)
    known = one.recommend(user_id="user-0001")
    similar, continued = one.lists.similar(items, None), one.lists.continued(items, None)
    assert (known.degraded, similar.degraded) == ((), ())

    def away(*_: object, **__: object) -> None:
        raise StoreError("gone")

    one.add_events(
        [EventDraft(user_id="user-0002", item_id=items[0])]
    )  # now every history is validated when it is used
    with monkeypatch.context() as patch:
        for name in ("changes", "recent_events", "events_mark", "playlists_since"):
            patch.setattr(one._store, name, away)
        again = one.recommend(user_id="user-0001")
        assert again.items == known.items
        assert [warning.what for warning in again.degraded] == ["user", "store"]
        assert one.lists.similar(items, None).playlists == similar.playlists
        for answer in (one.lists.similar(items, None), one.lists.continued(items, None)):
            assert "store" in [warning.what for warning in answer.degraded]
        assert one.lists.continued(items, None).alternatives == continued.alternatives
        with pytest.raises(StoreError):
            one.lists.similar([], "a name never compared before")
    wait()
    one.recommend(user_id="user-0001")
    assert one.recommend(user_id="user-0001").degraded == ()


def test_a_database_that_is_away_leaves_histories_sent_along(
    replicas: Replicas, trained: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = replicas
    start = next(iter(trained.world.successor))
    before = one.recommend(history=[start]).items

    def away(*_: object, **__: object) -> None:
        raise StoreError("gone")

    with monkeypatch.context() as patch:
        for name in ("changes", "recent_events", "events_mark"):
            patch.setattr(one._store, name, away)
        wait()
        answer = one.recommend(history=[start])
        assert answer.items == before
        assert [one.what for one in answer.degraded] == ["store"]
        answer = one.recommend(user_id="user-0001")
        assert [one.why for one in answer.degraded if one.what == "user"] == [
            "the database does not answer for user 'user-0001': popular items are shown"
        ]
        assert {item.source for item in answer.items} == {"popular"}
    wait()
    assert one.recommend(history=[start]).degraded == ()
    assert one.recommend(user_id="user-0001").items
