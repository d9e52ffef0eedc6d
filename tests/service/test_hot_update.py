"""A bundle activated while servers run answers without a pause, on every replica; what it replaces is freed."""

import gc
import json
import logging
import shutil
import threading
import time
import urllib.request
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from api.app import create_app
from recsys.bundle_io import load_bundle, save_bundle
from recsys.cli import app
from recsys.errors import NotReady, StoreError
from recsys.ranking import pipeline
from recsys.retrieval.popular import POPULAR
from recsys.service import Options, Readiness, Recommender
from recsys.service.state import hot_update
from recsys.service.state.text_service import TextService
from recsys.store import Store
from recsys.store.records import EventDraft, ItemDraft
from tests.servers import Service, recsys_serve
from tests.worlds import Planted, fill


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot_update, "POLL_SECONDS", 0.02)


@pytest.fixture(scope="session")
def reversed_bundle(trained: Planted) -> str:
    """Popular items alone, its rows in the opposite order: a row of the other bundle names another item here."""
    bundle = load_bundle(trained.bundle)
    part = bundle.parts[POPULAR]
    arrays = {name: np.ascontiguousarray(array[::-1]) for name, array in part.arrays.items()}
    other = replace(
        bundle,
        parts={POPULAR: replace(part, arrays=arrays)},
        default=POPULAR,
        item_ids=bundle.item_ids[::-1],
        texts=bundle.texts[::-1],
    )
    return save_bundle(other, str(trained.folder), name="reversed")


@pytest.fixture
def bundles(trained: Planted, reversed_bundle: str) -> tuple[str, str]:
    """The active blend, and another bundle."""
    return trained.bundle, reversed_bundle


def filled(url: str, world: Any, bundles: Sequence[str]) -> Store:
    store = Store.open(url)
    fill(store, world)
    for uri in bundles:
        store.add_bundle(uri, {})
    store.activate_bundle(bundles[0])
    return store


@pytest.fixture
def store(trained: Planted, tmp_path: Path, bundles: tuple[str, str]) -> Iterator[Store]:
    with closing(Store.open(trained.copy(tmp_path).url)) as store:
        store.add_bundle(bundles[1], {})
        yield store


@pytest.fixture
def other(tmp_path: Path, store: Store) -> Iterator[Store]:  # noqa: ARG001  (which makes the file)
    """The store as another process has it."""
    with closing(Store.open(f"sqlite:///{tmp_path}/recsys.db")) as other:
        yield other


@pytest.fixture
def recommender(store: Store) -> Iterator[Recommender]:
    with closing(Recommender(store, text_lag=0)) as recommender:
        yield recommender


def wait_for(holds: Callable[[], bool], *, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.005)


def answering(recommender: Recommender) -> str | None:
    return recommender.recommend(history=[]).bundle


def wait_for_bundle(recommender: Recommender, uri: str, *, seconds: float = 20) -> None:
    wait_for(lambda: answering(recommender) == uri, seconds=seconds)


def wait_for_readiness(recommender: Recommender, expected: Readiness) -> None:
    wait_for(lambda: recommender.readiness() == expected)


def update(recommender: Recommender) -> None:
    recommender._live.update.step()


@pytest.mark.slow
def test_replicas_follow_an_activation_and_a_rollback(
    database_url: str, trained: Planted, bundles: tuple[str, str]
) -> None:
    """Lists follow at the same time: the other bundle has no parts for them."""
    stores = [filled(database_url, trained.world, bundles), Store.open(database_url)]
    replicas = [Recommender(store) for store in stores]
    items = list(trained.world.successor)[:3]
    try:
        for replica in replicas:
            replica.warm_up()
            replica.follow_activations()
        changes: tuple[tuple[str, Callable[[], object]], ...] = (
            (bundles[1], lambda: stores[0].activate_bundle(bundles[1])),
            (bundles[0], stores[1].rollback_bundle),
        )
        for uri, change in changes:
            change()
            for replica in replicas:
                wait_for_bundle(replica, uri, seconds=5)
                wait_for_readiness(replica, Readiness(True, (), bundle=uri, active_bundle=uri))
                if uri == bundles[0]:
                    assert replica.lists.continued(items, None).bundle == uri
                    assert replica.lists.similar(items, None).playlists
                else:
                    with pytest.raises(NotReady, match="no parts for lists"):
                        replica.lists.continued(items, None)
    finally:
        for replica, store in zip(replicas, stores, strict=True):
            replica.close()
            store.close()


@pytest.mark.slow
def test_no_request_fails_or_mixes_two_bundles_while_they_alternate(
    recommender: Recommender, store: Store, bundles: tuple[str, str]
) -> None:
    """The bundles have opposite rows: with rows of one and items of the other, items of the history would be shown."""
    users = [f"user-{number:04}" for number in range(20)]
    seen = {user: {event.item_id for event in store.recent_events(user, limit=100)} for user in users}
    answered, failures, stop = set[str | None](), list[BaseException](), threading.Event()

    def ask() -> None:
        try:
            while not stop.is_set():
                for user in users:
                    answer = recommender.recommend(user_id=user, options=Options(k=10))
                    assert len(answer.items) == 10
                    assert seen[user].isdisjoint(item.item_id for item in answer.items)
                    assert {item.source for item in answer.items} == {POPULAR} or answer.bundle == bundles[0]
                    answered.add(answer.bundle)
        except BaseException as error:  # noqa: BLE001  (handed to the test)
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(6):
            store.activate_bundle(bundles[(number + 1) % 2])
            update(recommender)
            store.add_events([EventDraft(user_id="somebody", item_id=next(iter(seen["user-0001"])))])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert answered == set(bundles)


def test_a_request_ends_on_the_bundle_that_it_began_with(
    recommender: Recommender, store: Store, bundles: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = recommender.recommend(user_id="user-0001"), pipeline.rank

    def rank(*arguments: Any) -> Any:
        monkeypatch.setattr(pipeline, "rank", real)
        store.activate_bundle(bundles[1])
        update(recommender)
        return real(*arguments)

    monkeypatch.setattr(pipeline, "rank", rank)
    answer = recommender.recommend(user_id="user-0001")
    assert (answer.bundle, answer.items, answer.degraded) == (bundles[0], before.items, ())
    assert answering(recommender) == bundles[1]


def test_a_bundle_that_cannot_be_served_leaves_the_one_before_and_is_said_once(
    recommender: Recommender,
    store: Store,
    bundles: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    damaged = Path(shutil.copytree(bundles[1], tmp_path / "damaged"))
    (damaged / "parts" / "popular.safetensors").write_bytes(b"nothing")
    store.add_bundle(str(damaged), {})
    store.activate_bundle(str(damaged))
    loads, load = list[str](), recommender._live._load

    def counted(uri: str) -> Callable[[], None]:
        loads.append(uri)
        return load(uri)

    monkeypatch.setattr(recommender._live.update, "_load", counted)
    recommender.follow_activations()
    wait_for(lambda: bool(caplog.records))
    time.sleep(0.3)
    assert loads == [str(damaged)]
    assert [record.levelno for record in caplog.records if record.name == hot_update.__name__] == [logging.ERROR]
    with TestClient(create_app(recommender)) as client:
        response = client.get("/readyz")
        assert response.status_code == 200
        body = response.json()
        assert (body["bundle"], body["active_bundle"]) == (bundles[0], str(damaged))
        (reason,) = body["reasons"]
        assert reason.startswith(
            f"{damaged} is active, but cannot be served: {damaged}/parts/popular.safetensors is damaged"
        )
        assert client.get("/v1/users/user-0001/recommendations").json()["bundle"] == bundles[0]
    shutil.copytree(bundles[1], damaged, dirs_exist_ok=True)
    store.activate_bundle(str(damaged))  # repaired: no pause
    wait_for(lambda: answering(recommender) == str(damaged) and not recommender.readiness().reasons)
    assert store.rollback_bundle().uri == bundles[0]
    wait_for(lambda: answering(recommender) == bundles[0])


def test_a_bundle_that_cannot_answer_is_tried_again_after_growing_pauses(
    recommender: Recommender, store: Store, bundles: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are whole, and each part answers right after the load, but not with the items that came later."""
    now, loads = [1000.0], list[float]()
    monkeypatch.setattr("recsys.service.state.hot_update.time.monotonic", lambda: now[0])

    def check_answers(*_: Any, **__: Any) -> None:
        loads.append(now[0])
        if len(loads) < 4:
            raise RuntimeError("no room")

    monkeypatch.setattr("recsys.service.state.live.check_answers", check_answers)
    store.activate_bundle(bundles[1])
    while now[0] < 1040:
        update(recommender)
        if len(loads) < 4:
            assert recommender.readiness().reasons == (f"{bundles[1]} is active, but cannot be served: no room",)
            assert answering(recommender) == bundles[0]
        now[0] += 1
    assert loads == [1000, 1005, 1015, 1035]
    assert answering(recommender) == bundles[1]


@pytest.mark.slow
def test_of_several_activations_the_last_one_answers(
    recommender: Recommender, store: Store, bundles: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was taken back while it was being loaded never answers; others that are long past are not loaded at all."""
    loaded, answered, load = list[str](), list[str | None](), recommender._live._load
    copy = shutil.copytree(bundles[1], f"{bundles[1]}-copy", dirs_exist_ok=True)

    def slowly(uri: str) -> Callable[[], None]:
        swap = load(uri)
        if uri == bundles[1]:
            store.rollback_bundle()
        loaded.append(uri)
        return swap

    monkeypatch.setattr(recommender._live.update, "_load", slowly)
    store.add_bundle(copy, {})
    store.activate_bundle(bundles[1])
    for _ in range(3):
        update(recommender)
        answered.append(answering(recommender))
    for uri in (copy, bundles[0], copy):
        store.activate_bundle(uri)
    update(recommender)
    assert answered == [bundles[0]] * 3
    assert answering(recommender) == copy
    assert loaded == [bundles[1], bundles[0], copy]


def test_what_is_written_between_load_and_swap_counts_afterwards(
    recommender: Recommender, store: Store, other: Store, bundles: tuple[str, str], trained: Planted, tmp_path: Path
) -> None:
    again = shutil.copytree(bundles[0], tmp_path / "again")
    start, twin = next(iter(trained.world.successor.items()))
    old = store.item(twin)
    recommender.recommend(user_id="user-0001")  # whose history is cached by then
    swap = recommender._live._load(str(again))
    recommender.put_items([ItemDraft(item_id="own", title=old.title, attributes=old.attributes)])
    other.put_items([ItemDraft(item_id="imported", title=old.title, attributes=old.attributes)])
    recommender.delete_item(twin)
    recommender.add_events([EventDraft(user_id="user-0001", item_id="own")])
    swap()
    answer = recommender.recommend(history=[start], options=Options(k=100, encoder="text"))
    assert answer.bundle == str(again)
    known = {item.item_id for item in answer.items if item.source == "text"}
    assert "own" in known
    assert twin not in {item.item_id for item in answer.items}
    assert "own" not in {
        item.item_id for item in recommender.recommend(user_id="user-0001", options=Options(k=100)).items
    }
    recommender._live.wait_for_changes()
    answer = recommender.recommend(history=[start], options=Options(k=100, encoder="text"))
    assert {"own", "imported"} <= {item.item_id for item in answer.items if item.source == "text"}


def test_texts_that_wait_to_be_encoded_do_not_hold_up_a_swap_and_count_after_it(
    recommender: Recommender,
    other: Store,
    bundles: tuple[str, str],
    trained: Planted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again = shutil.copytree(bundles[0], tmp_path / "again")
    start = next(iter(trained.world.successor))
    stopped, go, real = threading.Event(), threading.Event(), TextService.encode

    def encode(self: TextService, items: Sequence[Any]) -> Any:
        if threading.current_thread().name == "sync" and items:
            stopped.set()
            assert go.wait(30)
        return real(self, items)

    monkeypatch.setattr(TextService, "encode", encode)
    new = {f"new-{number}" for number in range(40)}
    other.put_items([ItemDraft(item_id=item_id, title=f"something {item_id}") for item_id in sorted(new)])
    recommender._live._sync.start()
    wait_for(stopped.is_set)
    recommender._live._load(str(again))()
    assert answering(recommender) == str(again)
    assert "the texts of 40 items" in recommender.readiness().reasons[0]
    go.set()
    recommender._live.wait_for_changes()
    answer = recommender.recommend(history=[start], options=Options(k=100, encoder="text"))
    assert new <= {item.item_id for item in answer.items if item.source == "text"}
    assert recommender.readiness().reasons == ()


def test_cached_histories_stay_known_while_the_store_is_away(
    recommender: Recommender, store: Store, bundles: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {event.item_id for event in store.recent_events("user-0001", limit=100)}
    recommender.recommend(user_id="user-0001")
    store.activate_bundle(bundles[1])
    update(recommender)

    def away(*_: object, **__: object) -> None:
        raise StoreError("gone")

    for name in ("changes", "recent_events", "events_mark"):
        monkeypatch.setattr(store, name, away)
    answer = recommender.recommend(user_id="user-0001")
    assert answer.bundle == bundles[1]
    assert "user" in {warning.what for warning in answer.degraded}
    assert seen.isdisjoint(item.item_id for item in answer.items)


def test_the_store_going_away_is_no_fault_of_the_bundle(
    recommender: Recommender, store: Store, bundles: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.activate_bundle(bundles[1])

    def away(*_: object, **__: object) -> None:
        raise StoreError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(store, "items_since", away)
        with pytest.raises(StoreError):
            update(recommender)
    assert answering(recommender) == bundles[0]
    update(recommender)
    assert answering(recommender) == bundles[1]


@pytest.mark.slow
@pytest.mark.parametrize("damaged", [False, True])
def test_a_server_without_a_bundle_takes_the_first_that_becomes_active(
    database_url: str, trained: Planted, bundles: tuple[str, str], tmp_path: Path, damaged: bool
) -> None:
    with closing(Store.open(database_url)) as store:
        fill(store, trained.world)
        if damaged:
            store.add_bundle(str(tmp_path / "gone"), {})
            store.activate_bundle(str(tmp_path / "gone"))
        with closing(Recommender(store)) as recommender:
            recommender.follow_activations()
            assert answering(recommender) is None
            assert not recommender.readiness().ready
            store.add_bundle(bundles[0], {})
            store.activate_bundle(bundles[0])
            wait_for(lambda: answering(recommender) == bundles[0])
            assert recommender.readiness().ready
            wait_for(lambda: recommender.readiness().reasons == ())


@pytest.mark.slow
def test_what_was_replaced_is_freed(
    recommender: Recommender, store: Store, bundles: tuple[str, str], trained: Planted
) -> None:
    items = list(trained.world.successor)[:3]
    threads, gone = threading.active_count(), list[weakref.ref[Any]]()
    gc.collect()
    gc.disable()  # no garbage in cycles, which would stay for long
    try:
        for number in range(4):
            snapshot = recommender._live.snapshot
            gone += [weakref.ref(part) for part in (snapshot.items, snapshot.texts, snapshot.histories)]
            gone += [weakref.ref(part) for part in (snapshot.catalogue, snapshot.playlists, snapshot.bundle)]
            del snapshot
            if recommender._live.snapshot.lists.fusion:
                recommender.lists.similar(items, None)
                recommender.search_text("something")
            recommender.recommend(user_id="user-0001")
            store.activate_bundle(bundles[(number + 1) % 2])
            update(recommender)
            recommender.recommend(user_id="user-0001")
        assert [type(part()).__name__ for part in gone if part() is not None] == []
    finally:
        gc.enable()
    assert threading.active_count() <= threads + 1  # the one that follows the store


@pytest.mark.slow
def test_memory_does_not_grow_over_many_swaps(recommender: Recommender, store: Store, bundles: tuple[str, str]) -> None:
    sizes = list[int]()
    for number in range(20):
        store.activate_bundle(bundles[(number + 1) % 2])
        update(recommender)
        recommender.recommend(user_id="user-0001")
        if number in (5, 19):
            sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
    assert sizes[1] - sizes[0] < 15 * 2**20


def test_the_end_does_not_wait_for_a_bundle_that_is_being_loaded(
    store: Store, bundles: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hot_update, "CLOSE_SECONDS", 0.05)
    recommender, loading, go = Recommender(store), threading.Event(), threading.Event()
    swapped = list[str]()

    def load(uri: str) -> Callable[[], None]:
        loading.set()
        assert go.wait(30)
        return lambda: swapped.append(uri)

    monkeypatch.setattr(recommender._live.update, "_load", load)
    recommender.follow_activations()
    store.activate_bundle(bundles[1])
    assert loading.wait(10)
    assert recommender.readiness().reasons == (f"{bundles[1]} is active and being loaded",)
    began = time.monotonic()
    recommender.close()
    assert time.monotonic() - began < 5
    go.set()
    recommender._live.update._thread.join(10)
    assert not recommender._live.update._thread.is_alive()
    assert swapped == []


@pytest.mark.slow
def test_a_server_follows_what_the_command_activates_unless_a_bundle_was_named_at_its_start(
    trained: Planted, bundles: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = trained.copy(tmp_path).url
    monkeypatch.setenv("RECSYS_DATABASE_URL", url)
    with recsys_serve(url) as following, recsys_serve(url, "--bundle", bundles[0]) as fixed:
        assert CliRunner().invoke(app, ["bundles", "activate", bundles[1]]).exit_code == 0
        wait_for(lambda: ready(following)["bundle"] == bundles[1])
        assert ready(fixed) == {"ready": True, "reasons": [], "bundle": bundles[0], "active_bundle": None}


def ready(service: Service) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/readyz") as response:
        body: dict[str, Any] = json.load(response)
    return body
