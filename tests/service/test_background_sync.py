"""What other processes write is applied in the background: answers never wait for it, and lose nothing of it."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from recsys.encoders.hashed import HashedNgrams
from recsys.errors import StoreError
from recsys.service import Options, Recommender
from recsys.service.state import background_sync, text_backlog
from recsys.service.state.background_sync import BackgroundSync
from recsys.store import Store
from recsys.store.records import ItemDraft
from tests.worlds import Planted

TEXT = Options(k=100, encoder="text")


class Gate:
    """Stops encodings while it is shut, and counts them."""

    def __init__(self) -> None:
        self.stopped = 0
        self._shut, self._passes = False, threading.Semaphore(0)

    def shut(self) -> None:
        self._shut = True

    def open(self) -> None:
        self._shut = False
        self.let_through()

    def let_through(self) -> None:
        """One encoding."""
        self._passes.release()

    def passed(self) -> None:
        if self._shut:
            self.stopped += 1
            assert self._passes.acquire(timeout=30)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Before the encodings of the background."""
    gate, real = Gate(), HashedNgrams.encode_exits

    def encode_exits(self: HashedNgrams, texts: Sequence[str], **more: Any) -> Any:
        if threading.current_thread().name == "sync":
            gate.passed()
        return real(self, texts, **more)

    monkeypatch.setattr(HashedNgrams, "encode_exits", encode_exits)
    yield gate
    gate.open()


@pytest.fixture
def other(served_url: str) -> Iterator[Store]:
    """The store as another process has it."""
    with closing(Store.open(served_url)) as store:
        yield store


@pytest.fixture
def served_url(trained: Planted, tmp_path: Any) -> str:
    return trained.copy(tmp_path).url


@pytest.fixture
def recommender(served_url: str) -> Iterator[Recommender]:
    with closing(Store.open(served_url)) as store, closing(Recommender(store, text_lag=0)) as recommender:
        yield recommender


def drafts(*numbers: int, word: str = "new") -> list[ItemDraft]:
    return [ItemDraft(item_id=f"{word}-{number}", title=f"something {word} {number}") for number in numbers]


def recommended(recommender: Recommender, start: str, options: Options) -> set[str]:
    """What the part itself finds, without what its answer is filled up with."""
    items = recommender.recommend(history=[start], options=options).items
    return {item.item_id for item in items if item.source != "popular"}


def wait_for(holds: Callable[[], bool], *, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_answers_go_on_while_texts_of_another_process_are_encoded(
    recommender: Recommender, other: Store, gate: Gate, trained: Planted
) -> None:
    start = next(iter(trained.world.successor))
    gate.shut()
    other.put_items(drafts(*range(40)))
    wait_for(lambda: bool(recommender.recommend(history=[start]).degraded))
    wait_for(lambda: gate.stopped == 1)
    began = time.monotonic()
    answer = recommender.recommend(history=[start])
    assert time.monotonic() - began < 1
    (warning,) = answer.degraded
    assert warning.what == "texts"
    assert warning.why == "the texts of 40 items written by other processes do not count yet: being encoded"
    assert recommender.item("new-3").title == "something new 3"
    recommender.put_items(drafts(1, word="own"))  # this process's own count at once
    assert "own-1" in recommended(recommender, start, TEXT)
    assert "new-3" not in recommended(recommender, start, TEXT)
    with TestClient(create_app(recommender)) as client:
        body = client.get("/readyz").json()
        assert (body["ready"], len(body["reasons"])) == (True, 1)
        gate.open()
        recommender._live.wait_for_changes()
        assert client.get("/readyz").json()["reasons"] == []
    assert {f"new-{number}" for number in range(40)} <= recommended(recommender, start, TEXT)
    assert recommender.recommend(history=[start]).degraded == ()


def test_a_text_that_changes_while_it_is_encoded_counts_as_it_is_now(
    recommender: Recommender, other: Store, gate: Gate
) -> None:
    gate.shut()
    other.put_items(drafts(1))
    recommender._live._sync.start()
    wait_for(lambda: gate.stopped == 1)
    recommender.put_items([ItemDraft(item_id="new-1", title="changed here")])
    now = recommender.search_text("changed here", options=Options(k=1)).items[0]
    gate.open()
    recommender._live.wait_for_changes()
    assert recommender.search_text("changed here", options=Options(k=1)).items[0] == now
    assert (now.item_id, round(now.score, 3)) == ("new-1", 1.0)
    gate.shut()
    other.put_items(drafts(2))
    recommender._live._sync.start()
    wait_for(lambda: gate.stopped == 2)
    other.put_items([ItemDraft(item_id="new-2", title="changed elsewhere")])
    gate.open()
    recommender._live.wait_for_changes()
    assert recommender.search_text("changed elsewhere", options=Options(k=1)).items[0].item_id == "new-2"


def test_texts_that_could_not_be_stored_follow_when_the_store_is_back(
    recommender: Recommender, other: Store, trained: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = next(iter(trained.world.successor))

    def away(*_: object, **__: object) -> None:
        raise StoreError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(recommender._store, "save_vectors", away)
        other.put_items(drafts(1))
        recommender._live.wait_for_changes()
        assert {warning.what for warning in recommender.recommend(history=[start]).degraded} == {"store", "texts"}
    recommender._live.wait_for_changes()
    assert recommender.recommend(history=[start]).degraded == ()
    assert "new-1" in recommended(recommender, start, TEXT)


@pytest.mark.parametrize(("lag", "early"), [(0.0, True), (1000.0, False)])
def test_encoded_texts_wait_for_others_no_longer_than_the_lag(
    other: Store, gate: Gate, trained: Planted, lag: float, early: bool, served_url: str
) -> None:
    start, per_step = next(iter(trained.world.successor)), text_backlog.TEXTS_PER_STEP
    with closing(Store.open(served_url)) as store, closing(Recommender(store, text_lag=lag)) as recommender:
        gate.shut()
        other.put_items(drafts(*range(2 * per_step)))
        recommender._live._sync.start()
        wait_for(lambda: gate.stopped == 1)
        gate.let_through()
        wait_for(lambda: gate.stopped == 2)
        first = {f"new-{number}" for number in range(per_step)}
        assert (first <= recommended(recommender, start, TEXT)) == early
        gate.open()
        recommender._live.wait_for_changes()
        assert first <= recommended(recommender, start, TEXT)


def test_a_question_waits_for_a_poll_but_not_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_sync, "MAX_WAIT", 0.05)
    polls, gate = list[int](), threading.Event()

    def step() -> bool:
        polls.append(len(polls))
        assert gate.wait(10)
        return False

    with closing(BackgroundSync(step)) as sync:
        began = time.monotonic()
        sync.poke()
        assert 0.04 < time.monotonic() - began < 1
        began = time.monotonic()
        sync.poke()  # it works already
        assert time.monotonic() - began < 0.04
        gate.set()
        sync.wait()
        sync.poke()  # it was polled just now
        assert polls == [0]
        time.sleep(background_sync.POLL_SECONDS + 0.01)
        sync.poke()
        sync.wait()
        assert polls == [0, 1]


def test_a_step_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    steps = iter([RuntimeError("once"), True, False])

    def step() -> bool:
        match next(steps):
            case RuntimeError() as error:
                raise error
            case bool() as more:
                return more
        raise AssertionError

    with closing(BackgroundSync(step)) as sync:
        sync.start()
        sync.wait()
        assert "the store was not followed" in caplog.text
        sync.start()
        sync.wait()
    assert next(steps, None) is None
