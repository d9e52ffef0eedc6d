"""Writers at the same time, in one process and in several."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection

from api.app import create_app
from recsys.errors import Busy, NotFound, StoreError
from recsys.service import Recommender
from recsys.store import Store, events, sessions, writing
from recsys.store.dialect import lock_rows
from recsys.store.records import Event, EventDraft, Impression, ItemDraft
from recsys.store.sessions import count_change
from recsys.store.tables import users
from tests.databases import empty, transaction

DAY = datetime(2023, 3, 1, tzinfo=UTC)
WRITES_PER_THREAD = 200


@pytest.fixture
def other_store(database_url: str) -> Iterator[Store]:
    """The store of a second process, as far as the database can tell."""
    other = Store.open(database_url)
    yield other
    other.close()


@pytest.fixture
def postgres_store(migrated_server: str) -> Iterator[Store]:
    """A store on PostgreSQL."""
    store = Store.open(migrated_server)
    yield store
    store.close()
    empty(migrated_server)


def at_once(*jobs: Callable[[], object]) -> None:
    """Runs all `jobs` in threads that start together; raises the first error."""
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], object]) -> None:
        barrier.wait()
        job()

    with ThreadPoolExecutor(len(jobs)) as threads:
        list(threads.map(run, jobs))


def test_one_bundle_is_active_whoever_activates_at_the_same_time(store: Store, other_store: Store) -> None:
    for uri in "abcd":
        store.add_bundle(uri, {})
    for turn in range(25):
        processes = zip("abcd", (store, other_store) * 2, strict=True)
        at_once(*(partial(process.activate_bundle, uri) for uri, process in processes))
        if turn % 2:
            at_once(store.rollback_bundle, partial(other_store.activate_bundle, "a"))
        assert [bundle.state for bundle in store.bundles()].count("active") == 1


@contextmanager
def waiting_writers(store: Store, url: str, number: int) -> Iterator[list[Future[list[Event]]]]:
    """So many writers of events, which wait for a transaction that ends with the block."""
    store.put_items([ItemDraft(item_id="a")])
    with ThreadPoolExecutor(number) as threads, transaction(url) as connection:
        count_change(connection)
        drafts = [EventDraft(user_id=f"u{n}", item_id="a") for n in range(number)]
        writers = [threads.submit(store.add_events, [draft]) for draft in drafts]
        time.sleep(0.2)
        yield writers


@pytest.mark.slow
def test_readers_do_not_wait_for_writers(store: Store, database_url: str) -> None:
    with waiting_writers(store, database_url, 60) as writers:
        seconds = []
        for _ in range(100):
            started = time.perf_counter()
            assert store.item("a").item_id == "a"
            assert store.recent_events("u0", limit=1) == []
            assert store.changes() == 1 + 1  # the item's version, and the write
            seconds.append(time.perf_counter() - started)
        assert not any(writer.done() for writer in writers)
    assert np.quantile(seconds, 0.99) <= 0.1
    assert [len(writer.result()) for writer in writers] == [1] * 60  # in turn, once the lock is free


@pytest.mark.slow
def test_the_server_reports_and_reads_while_writers_have_its_threads(store: Store, database_url: str) -> None:
    store.put_items([ItemDraft(item_id="a")])
    with closing(Recommender(store)) as recommender, TestClient(create_app(recommender)) as client:
        body = {"user_id": "u", "item_id": "a"}
        with ThreadPoolExecutor(60) as threads:
            with transaction(database_url) as connection:
                count_change(connection)
                writers = [threads.submit(client.post, "/v1/events", json=body) for _ in range(60)]
                time.sleep(0.5)
                started = time.perf_counter()
                for path in ("/metrics", "/healthz", "/v1/items/a", "/v1/items", "/v1/users/u/recommendations"):
                    assert client.get(path).status_code == 200
                assert time.perf_counter() - started < 1
                assert not any(writer.done() for writer in writers)
            assert {writer.result().status_code for writer in writers} == {201}


def test_more_writes_than_there_are_threads_for_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MAX_WRITES", 1)
    entered, leave = threading.Event(), threading.Event()

    def work(_: Connection) -> None:
        entered.set()
        leave.wait()

    writer = writing.Writer(store._readers)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(writer.run, work)
        entered.wait()
        with pytest.raises(Busy, match="1 writes are at work already: nothing was stored, try again"):
            writer.run(work)
        leave.set()
        first.result()
    writer.run(work)


@pytest.mark.slow
def test_a_write_that_another_process_keeps_waiting_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LOCK_SECONDS", 0.5)
    url = f"sqlite:///{tmp_path}/store.db"
    sessions.upgrade(url)
    expected = pytest.raises(
        Busy, match=r"another process has been writing for more than .* seconds: nothing was stored"
    )
    with closing(Store.open(url)) as store, transaction(url), expected:
        store.put_items([ItemDraft(item_id="a")])


@pytest.mark.slow
def test_writers_of_the_same_rows_meet_without_an_error(
    store: Store, other_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One playlist is put and deleted, one user deleted while the user's events are sent again and deleted."""
    monkeypatch.setattr(writing, "RETRY_SECONDS", ())  # the order of locks alone has to do
    store.put_items([ItemDraft(item_id=item_id) for item_id in "abc"])
    drafts = [EventDraft(user_id="u", item_id="a", event_id=str(number), at=DAY) for number in range(3)]

    def repeat(write: Callable[[], object]) -> None:
        for _ in range(WRITES_PER_THREAD):
            with suppress(NotFound):
                write()

    def show(process: Store) -> None:
        process.add_impressions([Impression(uuid.uuid4().hex, "u", None, ["a"], datetime.now(UTC))])

    writes = [
        write
        for process in (store, other_store)
        for write in (
            partial(process.put_playlist, "p", None, "abc"),
            partial(process.delete_playlist, "p"),
            partial(process.add_events, drafts),
            partial(process.delete_user, "u"),
            partial(process.delete_event, "0"),
            partial(show, process),
            partial(process.tidy, impression_days=1),
        )
    ]
    at_once(*(partial(repeat, write) for write in writes))
    assert store.counts() == other_store.counts()
    assert [event.event_id for event in store.add_events(drafts)] == ["0", "1", "2"]
    assert store.counts().events == len(drafts)


def test_an_event_that_is_deleted_while_it_is_sent_again_is_stored(store: Store, database_url: str) -> None:
    store.put_items([ItemDraft(item_id="a")])
    draft = EventDraft(user_id="u", item_id="a", event_id="e", at=DAY)
    store.add_events([draft])
    with ThreadPoolExecutor(1) as threads:
        with transaction(database_url) as connection:
            events.delete_user(connection, "u")
            again = threads.submit(store.add_events, [draft])
            time.sleep(0.2)
        assert [event.event_id for event in again.result()] == ["e"]
    assert [event.event_id for event in store.recent_events("u", limit=10)] == ["e"]


@pytest.mark.slow
def test_a_write_that_a_deadlock_ended_is_done_again(postgres_store: Store, migrated_server: str) -> None:
    postgres_store.put_items([ItemDraft(item_id="a")])
    drafts = [EventDraft(user_id=user, item_id="a") for user in "uv"]
    postgres_store.add_events(drafts)
    with ThreadPoolExecutor(1) as threads, transaction(migrated_server) as connection:
        lock_rows(connection, users.c.user_id, ["v"])
        write = threads.submit(postgres_store.add_events, drafts)  # locks u, waits for v
        time.sleep(0.3)
        lock_rows(connection, users.c.user_id, ["u"])  # the write looks for a deadlock first, as it waits for longer
        assert not write.done()
        connection.rollback()
        assert len(write.result()) == 2
    assert postgres_store.counts().events == 4


@pytest.mark.parametrize(
    ("code", "attempts", "error", "message"),
    [
        ("40P01", 4, Busy, r"waited for each other \(deadlock\), 4 times in a row: nothing was stored"),
        ("40001", 4, Busy, r"changed the same rows meanwhile \(serialization failure\), 4 times"),
        ("53100", 1, StoreError, "refused the write"),
    ],
)
def test_a_conflict_is_tried_four_times_and_named(
    postgres_store: Store, code: str, attempts: int, error: type[Exception], message: str
) -> None:
    made = []

    def fail(connection: Connection) -> None:
        made.append(code)
        connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$")

    with pytest.raises(error, match=message):
        postgres_store._writer.run(fail)
    assert len(made) == attempts
