"""A database that goes away under load and comes back: what is asked is answered, what is written is refused, none is lost."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from recsys.service import Recommender
from recsys.store import Store
from recsys.store.records import EventDraft, ItemDraft
from recsys.store.sessions import upgrade
from tests.databases import transaction
from tests.servers import FORGETFUL, Server, postgresql, quick_folder

AWAY = 1.5
"""Seconds. The service does not know for how long, so that ten differ in nothing."""


@pytest.fixture
def own_server() -> Iterator[Server]:
    with postgresql(quick_folder(), settings=FORGETFUL) as running:
        upgrade(running.url)
        yield running


class Writer:
    """Posts events one after the other until it is closed; notes what was acknowledged and what was refused."""

    def __init__(self, client: TestClient) -> None:
        self.acknowledged: list[str] = []
        self.refused: set[tuple[int, str | None]] = set()
        self._client, self._stop = client, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            event_id = f"e{number}"
            body = {"user_id": "u", "item_id": "a", "event_id": event_id}
            response = self._client.post("/v1/events", json=body)
            if response.status_code == 201:
                self.acknowledged.append(event_id)
                number += 1
            else:
                self.refused.add((response.status_code, response.headers.get("Retry-After")))
                time.sleep(0.01)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


def test_the_service_outlives_its_database(own_server: Server) -> None:
    with ExitStack() as held:
        store = held.enter_context(closing(Store.open(own_server.url)))
        store.put_items([ItemDraft(item_id=one, title=one) for one in "abc"])
        store.add_events([EventDraft(user_id="other", item_id=one) for one in "bc"])
        recommender = held.enter_context(closing(Recommender(store)))
        client = TestClient(create_app(recommender), raise_server_exceptions=False)
        writer = held.enter_context(closing(Writer(client)))
        wait_for(lambda: len(writer.acknowledged) > 5)
        own_server.stop()
        before = len(writer.acknowledged)
        until = time.monotonic() + AWAY
        while time.monotonic() < until:
            assert client.get("/healthz").status_code == 200
            answer = client.post("/v1/recommendations", json={"history": ["a"]})
            assert answer.status_code == 200
            assert {item["item_id"] for item in answer.json()["items"]} == {"b", "c"}
            time.sleep(0.05)
        assert "store" in {one["what"] for one in answer.json()["degraded"]}
        own_server.start()
        wait_for(lambda: len(writer.acknowledged) > before + 5)
        writer.close()
        assert writer.refused == {(503, "2")}
        assert [event.event_id for event in store.recent_events("u", limit=10_000)][:before] == writer.acknowledged[
            :before
        ]
        assert len(store.recent_events("u", limit=10_000)) == len(writer.acknowledged)
        answer = client.post("/v1/recommendations", json={"history": ["a"]})
        assert "store" not in {one["what"] for one in answer.json()["degraded"]}


def test_a_locked_sqlite_file_is_waited_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    upgrade(url)
    with closing(Store.open(url)) as store:
        with transaction(url):
            thread = threading.Thread(target=store.put_items, args=([ItemDraft(item_id="a")],))
            thread.start()
            time.sleep(0.5)
            assert thread.is_alive()
            assert store.counts().items == 0  # readers do not wait
        thread.join()
        assert store.counts().items == 1


def wait_for(done: Callable[[], bool], *, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)
