"""What the store promises, on SQLite and on PostgreSQL alike."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from recsys.errors import Conflict, InvalidRequest, NotFound, NotReady, StoreError
from recsys.store import Store
from recsys.store.frames import events_frame, items_frame
from recsys.store.records import EventDraft, Impression, ItemDraft

DAY = datetime(2023, 3, 1, tzinfo=UTC)


def put_items(store: Store, *item_ids: str) -> None:
    store.put_items([ItemDraft(item_id=item_id, title=item_id.upper()) for item_id in item_ids])


def post(store: Store, user: str, *item_ids: str) -> None:
    store.add_events([EventDraft(user_id=user, item_id=item_id) for item_id in item_ids])


def history(store: Store, user: str, *, limit: int = 100) -> list[str]:
    return [event.item_id for event in store.recent_events(user, limit=limit)]


# Items


def test_ids_are_strings_and_come_back_as_they_went_in(store: Store) -> None:
    ids = ["007", "7", " 7", "a/b/c", "ünïcode 🎬", "A", "a", "x" * 500, "'; drop table items; --"]
    put_items(store, *ids)
    assert [item.item_id for page in store.items() for item in page] == ids
    assert [store.item(item_id).item_id for item_id in ids] == ids


def test_a_number_is_for_life(store: Store) -> None:
    put_items(store, "a", "b")
    numbers = {item_id: store.item(item_id).number for item_id in "ab"}
    store.delete_item("a")
    put_items(store, "c", "a", "b")
    assert {item_id: store.item(item_id).number for item_id in "ab"} == numbers
    assert store.item("c").number > max(numbers.values())


def test_content_is_replaced_whole_and_its_hash_tells(store: Store) -> None:
    first = store.put_items([ItemDraft(item_id="a", title="A", attributes={"x": 1, "y": [1, {"z": None}]})])[0]
    same = store.put_items([ItemDraft(item_id="a", title="A", attributes={"y": [1, {"z": None}], "x": 1})])[0]
    other = store.put_items([ItemDraft(item_id="a", title="A")])[0]
    assert first.content_hash == same.content_hash != other.content_hash
    assert store.item("a").attributes == {}


def test_of_equal_ids_in_one_call_the_last_counts(store: Store) -> None:
    made = store.put_items([ItemDraft(item_id="a", title="1"), ItemDraft(item_id="a", title="2")])
    assert [item.title for item in made] == ["2", "2"]


def test_a_deleted_item_is_unknown_but_its_events_stay(store: Store) -> None:
    put_items(store, "a")
    post(store, "u", "a")
    store.delete_item("a")
    with pytest.raises(NotFound, match="unknown item 'a': PUT it first"):
        store.item("a")
    with pytest.raises(NotFound, match="unknown item"):
        store.delete_item("a")
    assert history(store, "u") == ["a"]
    assert [item.active for page in store.items() for item in page] == [False]


def available(store: Store) -> dict[str, bool]:
    return {item.item_id: item.available for page in store.items() for item in page}


def test_an_item_is_available_until_it_is_said_not_to_be_and_stays_so_while_nothing_is_said(store: Store) -> None:
    put_items(store, "a", "b")
    store.put_items([ItemDraft(item_id="b", available=False), ItemDraft(item_id="c", available=False)])
    assert available(store) == {"a": True, "b": False, "c": False}
    made = store.put_items([ItemDraft(item_id="b", title="again"), ItemDraft(item_id="c", available=True)])
    assert [(item.title, item.available) for item in made] == [("again", False), (None, True)]
    assert store.item("b").available is False
    assert items_frame(store)["item"].to_list() == ["a", "b", "c"]  # what is sold out is learned from


@pytest.mark.parametrize(("given", "back"), [(None, True), (True, True), (False, False)])
def test_a_deleted_item_that_is_put_again_is_available_unless_it_is_said_not_to_be(
    store: Store, given: bool | None, back: bool
) -> None:
    store.put_items([ItemDraft(item_id="a", available=False)])
    store.delete_item("a")
    store.put_items([ItemDraft(item_id="a", available=given)])
    assert available(store) == {"a": back}


def test_the_availability_of_many_items_is_set_at_once_and_nothing_else_of_them(store: Store) -> None:
    ids = [f"i{number}" for number in range(2500)]
    put_items(store, *ids)
    before = store.item("i7")
    assert store.set_availability(dict.fromkeys(ids[:2000], False)) == 2000
    assert available(store) == {item_id: number >= 2000 for number, item_id in enumerate(ids)}
    assert store.item("i7") == replace(before, available=False)
    since = store.changes()
    assert store.set_availability({"i7": True, "i8": False, "i2400": True}) == 1
    assert [(item.item_id, item.available) for item in store.items_since(since)] == [("i7", True)]


def test_availabilities_are_all_set_or_none(store: Store) -> None:
    put_items(store, "a", "b", *(gone := [f"gone-{number}" for number in range(12)]))
    for item_id in gone:
        store.delete_item(item_id)
    since = store.changes()
    with pytest.raises(NotFound, match=r"unknown items gone-0, .*, gone-9 and 2 more: PUT them first .* nothing was"):
        store.set_availability({"a": False} | dict.fromkeys(gone, True))
    with pytest.raises(NotFound, match=r"unknown items never: "):
        store.set_availability({"a": False, "never": False})
    assert store.item("a").available
    assert store.changes() == since


def test_items_are_found_by_title_or_id_in_any_case_and_wildcards_mean_themselves(store: Store) -> None:
    put_items(store, "one", "two", "100%", "under_score")
    assert [item.item_id for item in store.find_items("O", limit=10)] == ["one", "two", "under_score"]
    assert [item.item_id for item in store.find_items("%", limit=10)] == ["100%"]
    assert [item.item_id for item in store.find_items("r_s", limit=10)] == ["under_score"]
    assert [item.item_id for item in store.find_items("", limit=2)] == ["one", "two"]


@pytest.mark.parametrize("query", ["Élan", "élan", "ÉLAN", "мир", "МИР"])
def test_items_are_found_in_any_case_of_any_alphabet(store: Store, query: str) -> None:
    store.put_items([ItemDraft(item_id="1", title="Élan Vital, МИР"), ItemDraft(item_id="2", title="elan")])
    assert [item.item_id for item in store.find_items(query, limit=10)] == ["1"]


def test_more_items_than_one_statement_holds(store: Store) -> None:
    ids = [f"i{number}" for number in range(2500)]
    put_items(store, *ids)
    assert [item.item_id for page in store.items() for item in page] == ids
    assert store.counts().items == 2500


# Events


def test_a_history_is_ordered_by_time_then_position_then_arrival(store: Store) -> None:
    put_items(store, *"abcdef")
    later = DAY + timedelta(days=1)
    drafts = [("f", later, None), ("d", DAY, 2), ("c", DAY, 1), ("e", DAY, 2), ("b", DAY, None)]
    store.add_events([EventDraft(user_id="u", item_id=item, at=at, position=position) for item, at, position in drafts])
    undated = {"event_id": "old", "user_id": "u", "item_id": "a", "at": None, "position": 9, "kind": "k", "weight": 1.0}
    store.insert_events([undated])
    assert "".join(history(store, "u")) == "abcdef"
    assert "".join(history(store, "u", limit=3)) == "def"
    frame = events_frame(store).sort("at", "position", "arrival", nulls_last=False).collect()
    assert "".join(frame["item"]) == "abcdef"


def test_repeats_are_kept(store: Store) -> None:
    put_items(store, "a", "b")
    post(store, "u", "a", "a", "b", "a")
    assert history(store, "u") == ["a", "a", "b", "a"]
    assert store.item_counts(["view"]) == {"a": 3, "b": 1}


def test_items_are_counted_by_kinds_and_least_weights(store: Store) -> None:
    put_items(store, "a", "b")
    signals = [("a", "like", 1.0), ("a", "rating", 2.5), ("b", "rating", 3.0), ("b", "like", -1.0), ("b", "skip", 1.0)]
    store.add_events([EventDraft(user_id="u", item_id=i, kind=kind, weight=weight) for i, kind, weight in signals])
    assert store.item_counts(["like"]) == {"a": 1}
    assert store.item_counts(["rating"], least=3) == {"b": 1}
    assert store.item_counts([]) == {}


def test_an_event_without_a_time_gets_its_arrival(store: Store) -> None:
    put_items(store, "a")
    before = datetime.now(UTC).timestamp()
    post(store, "u", "a")
    at = store.recent_events("u", limit=1)[0].at
    assert at is not None
    assert before <= at <= datetime.now(UTC).timestamp()


def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    put_items(store, "a")
    with pytest.raises(InvalidRequest, match="no time zone"):
        store.add_events([EventDraft(user_id="u", item_id="a", at=datetime(2023, 1, 1))])


def test_the_same_event_again_changes_nothing_and_other_content_is_a_conflict(store: Store) -> None:
    put_items(store, "a", "b")
    draft = EventDraft(user_id="u", item_id="a", at=DAY, position=3, event_id="e", kind="buy", weight=0.1)
    first = store.add_events([draft])
    assert store.add_events([draft, draft]) == [*first, *first]
    for other in (
        EventDraft(user_id="u", item_id="b", at=DAY, position=3, event_id="e", kind="buy", weight=0.1),
        EventDraft(user_id="v", item_id="a", at=DAY, position=3, event_id="e", kind="buy", weight=0.1),
        EventDraft(user_id="u", item_id="a", at=DAY + timedelta(1), position=3, event_id="e", kind="buy", weight=0.1),
    ):
        with pytest.raises(Conflict, match="give it another event_id"):
            store.add_events([other])
    assert store.counts().events == 1


def test_all_events_of_a_call_are_kept_or_none(store: Store) -> None:
    put_items(store, "a")
    with pytest.raises(NotFound, match="unknown item 'b'"):
        store.add_events([EventDraft(user_id="u", item_id="a"), EventDraft(user_id="u", item_id="b")])
    assert store.counts() == type(store.counts())(items=1, users=0, events=0, playlists=0)


def test_no_event_of_a_user_appears_late(store: Store) -> None:
    """A reader that has seen number n of a user never sees a smaller one of that user afterwards."""
    put_items(store, "a")
    seen: list[int] = []
    late: list[int] = []
    stop = threading.Event()

    def poll() -> None:
        while not stop.is_set():
            numbers = [event.number for event in store.recent_events("u", limit=1000)]
            late.extend(number for number in numbers if seen and number < max(seen) and number not in seen)
            seen.extend(number for number in numbers if number not in seen)

    def write() -> None:
        for _ in range(15):
            post(store, "u", "a", "a")

    reader, writers = threading.Thread(target=poll), [threading.Thread(target=write) for _ in range(4)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert late == []
    assert store.counts().events == 120


def test_writers_wait_for_each_other(store: Store) -> None:
    put_items(store, "a")
    failures: list[BaseException] = []

    def write(user: str) -> None:
        try:
            for _ in range(10):
                post(store, user, "a")
        except BaseException as error:  # noqa: BLE001  (handed to the test)
            failures.append(error)

    threads = [threading.Thread(target=write, args=(f"u{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.counts().events == 60


def test_an_event_and_a_user_are_forgotten(store: Store) -> None:
    put_items(store, "a", "b")
    event = store.add_events([EventDraft(user_id="u", item_id="a"), EventDraft(user_id="u", item_id="b")])[0]
    store.delete_event(event.event_id)
    assert history(store, "u") == ["b"]
    store.delete_user("u")
    assert history(store, "u") == []
    with pytest.raises(NotFound, match="unknown event"):
        store.delete_event(event.event_id)
    store.delete_user("u")


def test_the_mark_of_a_user_s_events_is_another_after_every_change(store: Store) -> None:
    put_items(store, "a")
    marks = [store.events_mark("u")]
    assert marks == [(0, 0)]
    for _ in range(2):
        post(store, "u", "a")
        marks.append(store.events_mark("u"))
    for _ in range(2):
        last = store.recent_events("u", limit=1)[0]
        store.delete_event(last.event_id)
        marks.append(store.events_mark("u"))
        post(store, "u", "a")  # under a number of its own
        marks.append(store.events_mark("u"))
    post(store, "v", "a")
    assert store.events_mark("u") == marks[-1]
    assert all(earlier != later for earlier, later in pairwise(marks))
    assert len({mark for mark in marks if mark[0] == 2}) == 3


def test_pages_of_users_lose_nobody(store: Store) -> None:
    put_items(store, "a")
    users = {"b", "B", "a", "A", "_", "é", "zz", "10", "9", "-", "a b", "Ä"}
    for user in users:
        post(store, user, "a")
    seen: list[str] = []
    while page := store.users(after=seen[-1] if seen else None, limit=5):
        seen += page
    assert len(seen) == len(users)
    assert set(seen) == users


# The rest


def test_playlists_keep_order_and_repeats_and_are_replaced_whole(store: Store) -> None:
    put_items(store, "a", "b")
    store.put_playlist("p/1", "Mine", ["b", "a", "b"])
    assert store.playlist("p/1").item_ids == ("b", "a", "b")
    store.put_playlist("p/1", None, ["a"])
    assert (store.playlist("p/1").name, store.playlist("p/1").item_ids) == (None, ("a",))
    with pytest.raises(NotFound, match="unknown item 'c'"):
        store.put_playlist("p/1", None, ["c"])
    assert store.playlist("p/1").item_ids == ("a",)
    store.delete_playlist("p/1")
    for gone in (store.playlist, store.delete_playlist):
        with pytest.raises(NotFound, match="unknown playlist"):
            gone("p/1")


def test_vectors_are_kept_by_part_and_content(store: Store) -> None:
    first, second = np.arange(3, dtype=np.float32), np.ones(3, dtype=np.float32)
    store.save_vectors("h", {("a", "old"): first, ("b", "x"): first})
    store.save_vectors("h", {("a", "new"): second})
    stored = store.vectors("h", ["a", "b", "c"])
    assert set(stored) == {("a", "new"), ("b", "x")}
    np.testing.assert_array_equal(stored["a", "new"], second)
    assert store.vectors("other", ["a"]) == {}


def test_one_bundle_is_active_and_rollback_goes_one_back(store: Store) -> None:
    assert store.active_bundle() is None
    for uri in ("one", "two", "three"):
        store.add_bundle(uri, {"created": uri})
    with pytest.raises(NotFound, match="unknown bundle 'four'"):
        store.activate_bundle("four")
    with pytest.raises(NotFound, match="no earlier bundle"):
        store.rollback_bundle()
    store.activate_bundle("one")
    store.activate_bundle("two")
    assert [(bundle.uri, bundle.state) for bundle in store.bundles()] == [
        ("one", "retired"),
        ("two", "active"),
        ("three", "staged"),
    ]
    assert store.rollback_bundle().uri == "one"
    active = store.active_bundle()
    assert active is not None
    assert (active.uri, active.manifest) == ("one", {"created": "one"})
    store.activate_bundle("three")
    assert store.rollback_bundle().uri == "one"  # not "two", which was rolled back from


def test_rolling_back_again_goes_back_further(store: Store) -> None:
    for uri in ("one", "two", "three"):
        store.add_bundle(uri, {})
        store.activate_bundle(uri)
    assert [store.rollback_bundle().uri for _ in range(2)] == ["two", "one"]
    with pytest.raises(NotFound, match="no earlier bundle"):
        store.rollback_bundle()


def test_what_answers_depend_on_raises_the_counter_and_nothing_else_does(store: Store) -> None:
    counted = [store.changes()]
    for write in (
        lambda: put_items(store, "a"),
        lambda: post(store, "u", "a"),
        lambda: store.put_playlist("p", None, ["a"]),
        lambda: store.set_availability({"a": False}),
        lambda: store.delete_item("a"),
    ):
        write()
        counted.append(store.changes())
    assert counted == sorted(set(counted))
    with pytest.raises(NotFound):
        store.delete_item("a")
    store.counts()
    store.add_impressions([Impression("r", "u", None, ["a"], DAY)])
    store.save_vectors("h", {("a", "x"): np.ones(3, dtype=np.float32)})
    assert store.changes() == counted[-1]


def test_items_written_since_a_count_are_told_in_order(store: Store) -> None:
    put_items(store, "a", "b", "c")
    assert [item.item_id for item in store.items_since(0)] == ["a", "b", "c"]
    before = store.changes()
    post(store, "u", "a")
    assert store.items_since(before) == []
    store.delete_item("b")
    put_items(store, "a", "d")
    assert [(item.item_id, item.active) for item in store.items_since(before)] == [
        ("b", False),
        ("a", True),
        ("d", True),
    ]
    assert store.items_since(store.changes()) == []


def test_a_count_once_read_has_all_items_written_up_to_it(store: Store) -> None:
    """Whoever reads the counter and then the items since an earlier one misses none, with many writers at once."""
    polled: list[str] = []
    stop = threading.Event()

    def poll() -> None:
        seen = 0
        while True:
            last = stop.is_set()
            count = store.changes()
            new = [item.item_id for item in store.items_since(seen)]
            polled.extend(item_id for item_id in new if item_id not in polled)
            seen = count
            if last:
                return

    def write(number: int) -> None:
        for turn in range(15):
            put_items(store, f"{number}-{turn}")

    reader, writers = threading.Thread(target=poll), [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert sorted(polled) == sorted(f"{number}-{turn}" for number in range(4) for turn in range(15))


def test_the_frames_are_what_the_store_holds(store: Store) -> None:
    store.put_items([ItemDraft(item_id="a", title="A", attributes={"k": "v"}), ItemDraft(item_id="b")])
    store.add_events([EventDraft(user_id="u", item_id="a", at=DAY, position=1), EventDraft(user_id="u", item_id="b")])
    store.delete_item("b")
    assert items_frame(store).select("item", "title", "attributes").rows() == [("a", "A", '{"k": "v"}')]
    rows = events_frame(store).collect().rows(named=True)
    assert [(row["user"], row["item"], row["position"]) for row in rows] == [("u", "a", 1), ("u", "b", None)]
    assert rows[0]["at"] == DAY


def test_a_database_without_tables_says_what_to_run(empty_url: str) -> None:
    with pytest.raises(NotReady, match="recsys db upgrade"):
        Store.open(empty_url)


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://nobody@127.0.0.1:1/none", "sqlite:////no/such/folder/x.db", "nonsense", "odbc://x"]
)
def test_a_database_that_cannot_be_reached_is_said(url: str) -> None:
    with pytest.raises(StoreError):
        Store.open(url)
