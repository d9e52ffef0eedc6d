"""A forgotten user leaves no trace: in no table, in no file, whichever process writes what and when."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, make_url

from recsys.cli.shared import open_recommender
from recsys.settings import Settings
from recsys.store import Store, erasing, impressions, journal
from recsys.store.journal import Journal
from recsys.store.records import EventDraft, Impression, ItemDraft
from recsys.store.sessions import connect
from recsys.store.tables import metadata
from tests.databases import transaction

USER = "user-8c1f7a"
DAY = timedelta(days=1)


@pytest.fixture
def other_store(database_url: str) -> Iterator[Store]:
    """The store of a second process, as far as the database can tell."""
    with closing(Store.open(database_url)) as other:
        yield other


def impression(request_id: str, user_id: str | None = USER, *, ago: timedelta = timedelta(0)) -> Impression:
    return Impression(request_id, user_id, None, ["a"], datetime.now(UTC) - ago)


def stored(url: str) -> list[str]:
    """The request ids of the stored impressions."""
    with transaction(url) as connection:
        return sorted(connection.exec_driver_sql("select request_id from impressions").scalars())


def traces(url: str, user_ids: Sequence[str]) -> dict[str, list[str]]:
    """The tables and files that hold any of the ids, with those ids."""
    with transaction(url) as connection:
        texts = {name: str(_rows(connection, name)).encode() for name in metadata.tables}
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = Path(parsed.database or "")
        texts |= {file.name: file.read_bytes() for file in path.parent.glob(f"{path.name}*")}
    traced = {name: [user_id for user_id in user_ids if user_id.encode() in text] for name, text in texts.items()}
    return {name: ids for name, ids in traced.items() if ids}


def _rows(connection: Connection, table: str) -> list[object]:
    return [tuple(row) for row in connection.exec_driver_sql(f"select * from {table}")]


def fill(store: Store, user_ids: Sequence[str], *, events: int = 2) -> None:
    store.put_items([ItemDraft(item_id="a")])
    for number in range(events):
        store.add_events([EventDraft(user_id=user, item_id="a") for user in user_ids])
        store.add_impressions([impression(f"{number} of {user}", user) for user in user_ids])


def test_no_table_and_no_file_holds_a_forgotten_user(store: Store, database_url: str) -> None:
    fill(store, [USER, "stays-2b9e"])
    assert {"users", "events", "impressions"} <= traces(database_url, [USER]).keys()
    store.delete_user(USER)
    assert traces(database_url, [USER]) == {}
    assert {"users", "events", "impressions"} <= traces(database_url, ["stays-2b9e"]).keys()


def test_a_user_known_by_impressions_alone_is_forgotten(store: Store, database_url: str) -> None:
    store.add_impressions([impression("1"), impression("2", "another"), impression("3", None)])
    before = store.changes()
    store.delete_user(USER)
    assert traces(database_url, [USER]) == {}
    assert stored(database_url) == ["2", "3"]
    assert store.changes() > before


def test_impressions_that_any_process_writes_later_are_not_stored(
    store: Store, other_store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "POLL_SECONDS", 60)  # they wait in memory
    journals = [Journal(process.add_impressions) for process in (store, other_store)]
    for number, waiting in enumerate(journals):
        waiting.add(impression(f"{number}"))
        waiting.add(impression(f"of another {number}", "another"))
    store.delete_user(USER)
    for waiting in journals:
        waiting.flush()
        waiting._closing.set()
        assert waiting.dropped == 0
    assert traces(database_url, [USER]) == {}
    assert stored(database_url) == ["of another 0", "of another 1"]


def test_a_user_who_is_forgotten_while_impressions_are_written_leaves_none(
    store: Store, other_store: Store, database_url: str
) -> None:
    with ThreadPoolExecutor(1) as threads:
        with transaction(database_url) as connection:
            impressions.add_impressions(connection, [impression("written before")])
            deleting = threads.submit(store.delete_user, USER)
            time.sleep(0.2)
            assert not deleting.done()
        deleting.result()
        with transaction(database_url) as connection:
            impressions.forget(connection, USER)
            writing = threads.submit(other_store.add_impressions, [impression("written after")])
            time.sleep(0.2)
            assert not writing.done()
        writing.result()
    assert stored(database_url) == []


def test_a_user_who_comes_back_is_a_new_one(store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, [USER], events=3)
    store.delete_user(USER)
    store.add_events([EventDraft(user_id=USER, item_id="a")])
    assert len(store.recent_events(USER, limit=10)) == 1
    assert store.users() == [USER]
    store.add_impressions([impression("at once")])  # its request may have begun before the user was forgotten
    assert stored(database_url) == []
    monkeypatch.setattr(impressions, "GRACE", timedelta(0))
    store.add_impressions([impression("before", ago=timedelta(minutes=1)), impression("later")])
    assert stored(database_url) == ["later"]
    store.delete_user(USER)
    assert traces(database_url, [USER]) == {}


def test_a_tombstone_holds_no_id_and_goes_when_nothing_late_is_stored_any_more(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tombstones = partial(_tombstones, database_url)
    store.delete_user(USER)
    store.tidy(impression_days=90)
    assert len(tombstones()) == 1
    assert USER not in str(tombstones())
    monkeypatch.setattr(impressions, "GRACE", timedelta(0))
    monkeypatch.setattr(impressions, "TOMBSTONE_LIFE", timedelta(milliseconds=1))
    time.sleep(0.01)
    store.tidy(impression_days=90)
    assert tombstones() == []
    store.add_impressions([impression("late", ago=timedelta(seconds=1))])
    assert stored(database_url) == []


def _tombstones(url: str) -> list[object]:
    with transaction(url) as connection:
        return _rows(connection, "forgotten_users")


def test_old_impressions_go_in_small_batches(store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(impressions, "TOMBSTONE_LIFE", 100 * DAY)
    monkeypatch.setattr(impressions, "ROWS_PER_PRUNING", 2)
    store.add_impressions([impression(f"{days}", ago=days * DAY) for days in (1, 6, 8, 9, 10)])
    counted = store.changes()
    store.tidy(impression_days=7)
    assert stored(database_url) == ["1", "6", "8"]
    store.tidy(impression_days=7)
    store.tidy(impression_days=7)
    assert stored(database_url) == ["1", "6"]
    assert store.changes() == counted


def test_old_impressions_go_in_the_background_after_the_days_of_the_setting(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "TIDY_SECONDS", 0.01)
    monkeypatch.setattr(impressions, "TOMBSTONE_LIFE", 100 * DAY)
    monkeypatch.setenv("RECSYS_IMPRESSION_DAYS", "7")
    store.add_impressions([impression("old", ago=8 * DAY), impression("new", ago=6 * DAY)])
    with open_recommender(Settings(database_url=database_url)):
        deadline = time.monotonic() + 10
        while stored(database_url) != ["new"] and time.monotonic() < deadline:
            time.sleep(0.02)
    assert stored(database_url) == ["new"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_reader_delays_the_cleaning_of_the_log_but_not_the_deletion(store: Store, database_url: str) -> None:
    fill(store, [USER])
    readers = connect(database_url)
    with readers.connect() as reader:
        reader.exec_driver_sql("select * from users").all()
        started = time.monotonic()
        store.delete_user(USER)
        assert time.monotonic() - started < 2
        assert store.recent_events(USER, limit=1) == []
        assert "store.db-wal" in traces(database_url, [USER])
    readers.dispose()
    store.tidy(impression_days=90)
    assert traces(database_url, [USER]) == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_large_file_is_not_written_anew_but_the_operator_is_asked_to(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(erasing, "MAX_VACUUM_BYTES", 0)
    for _ in range(2):
        fill(store, [USER])
        store.delete_user(USER)
        store.tidy(impression_days=90)
    assert [record.message.partition(": ")[2] for record in caplog.records] == ["run VACUUM on it at a quiet time"]
    assert traces(database_url, [USER]) == {}


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_of_a_thousand_forgotten_users_nothing_is_in_the_file(store: Store, database_url: str) -> None:
    """Copies that SQLite leaves in the free part of pages go too."""
    user_ids = [f"user-{number * 7919 % 100_003:06}-end" for number in range(2000)]
    for start in range(0, len(user_ids), 100):
        fill(store, user_ids[start : start + 100], events=2)
    for user_id in user_ids[:1000]:
        store.delete_user(user_id)
    store.tidy(impression_days=90)
    assert traces(database_url, user_ids[:1000]) == {}
