"""Bodies of 5 MB that are built to be slow cost a second of CPU at most, and other requests are answered meanwhile."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient

from api.json_body import LARGE
from recsys.store.sessions import upgrade
from tests.api.fake import FakeRecommender, client_over
from tests.servers import Service, recsys_serve

JSON = {"Content-Type": "application/json"}
MAX_CPU = 1.0
MAX_WAIT = 0.25
ATTEMPTS = 3
"""Of which the best counts: other processes take the CPU away."""

ONES = "[" + ",".join(["1"] * 2_400_000) + "]"
OBJECTS = "[" + ",".join(["{}"] * 1_600_000) + "]"
KEYS = ",".join(f'"{i:020}":1' for i in range(180_000))
MANY_KEYS = ",".join(f'"{i}":1' for i in range(450_000))
WIDE = "{" + ",".join(f'"{i}":1' for i in range(60)) + "}"
NARROW = "{" + ",".join(f'"{i}":1' for i in range(18)) + "}"
SLOW = {
    "numbers in history": ("/v1/recommendations", f'{{"history":{ONES}}}'),
    "numbers to exclude": ("/v1/recommendations", f'{{"history":[],"exclude":{ONES}}}'),
    "unknown fields": ("/v1/recommendations", f'{{"history":[],{KEYS}}}'),
    "more fields than may be": ("/v1/recommendations", f'{{"history":[],{MANY_KEYS}}}'),
    "a field twice": ("/v1/recommendations", f'{{"history":[],{KEYS},{KEYS[:25]}}}'),
    "empty events": ("/v1/events", OBJECTS),
    "events of unknown fields": ("/v1/events", f"[{','.join([WIDE] * 9900)}]"),
    "events of many errors": ("/v1/events", f"[{','.join([NARROW] * 9900)}]"),
    "nested attributes": ("/v1/items:batch", f'{{"items":[{{"item_id":1,"attributes":{{"a":{OBJECTS}}}}}]}}'),
    "combining marks": ("/v1/items:batch", '{"items":[{"item_id":1,"title":"' + "\u0301" * 2_400_000 + '"}]}'),
    "openings of comments": ("/v1/search", '{"query":"' + "<!--" * 1_200_000 + '"}'),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    url = f"sqlite:///{tmp_path_factory.mktemp('service')}/recsys.db"
    upgrade(url)
    with recsys_serve(url) as running:
        yield running


@pytest.fixture
def client() -> TestClient:
    return client_over(FakeRecommender())


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_a_slow_body_is_refused_soon_and_holds_up_nobody(service: Service, name: str) -> None:
    costs = [cost(service, *SLOW[name]) for _ in range(ATTEMPTS)]
    assert min(cpu for cpu, _ in costs) <= MAX_CPU
    assert min(wait for _, wait in costs) <= MAX_WAIT


def cost(service: Service, path: str, body: str) -> tuple[float, float]:
    """CPU seconds of the service for this body, and the longest wait of `/healthz` meanwhile."""
    address = f"http://127.0.0.1:{service.port}"
    before = cpu_seconds(service)
    with waits_of_health(address) as waits, httpx2.Client(base_url=address, timeout=60) as client:
        response = client.post(path, content=body.encode(), headers=JSON)
        assert response.status_code in (400, 413, 422)
        assert len(response.content) < 10_000
    return cpu_seconds(service) - before, max(waits, default=0.0)


@contextmanager
def waits_of_health(address: str) -> Iterator[list[float]]:
    waits, done = list[float](), threading.Event()

    def ask() -> None:
        with httpx2.Client(base_url=address, timeout=60) as client:
            while not done.wait(0.005):
                begin = time.perf_counter()
                client.get("/healthz").raise_for_status()
                waits.append(time.perf_counter() - begin)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield waits
    finally:
        done.set()
        thread.join()


def cpu_seconds(service: Service) -> float:
    fields = Path(f"/proc/{service.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_errors_of_a_large_body_are_those_of_a_small_one(client: TestClient) -> None:
    def detail(padding: int) -> tuple[int, object]:
        body = {"history": [1] * 30, "user_id": " " * padding, "k": 0}
        response = client.post("/v1/recommendations", json=body)
        return response.status_code, response.json()["errors"]

    small, large = detail(600), detail(2 * LARGE)
    assert small[0] == large[0] == 422
    assert small == large


def test_a_large_body_is_taken(client: TestClient) -> None:
    body = {"history": ["1"] * 10_000, "exclude": ["é"] * 10_000, "k": 2}
    assert client.post("/v1/recommendations", json=body).json()["items"]
    events = [{"user_id": "u", "item_id": "50"}] * 2000
    assert len(client.post("/v1/events", json=events).json()["events"]) == 2000


def test_errors_far_down_in_a_long_list_say_where(client: TestClient) -> None:
    events = [{"user_id": "u", "item_id": "50"}] * 1234 + [{"user_id": "u"}, {"user_id": "u"}]
    response = client.post("/v1/events", json=events)
    assert [error["where"] for error in response.json()["errors"]] == [
        "body.events.1234.item_id",
        "body.events.1235.item_id",
    ]


def test_many_unknown_fields_are_one_error(client: TestClient) -> None:
    response = client.post("/v1/recommendations", json={"history": [], **{f"x{i}": 1 for i in range(100)}})
    assert response.json()["detail"] == "body: has 101 fields: see /openapi.json for the 17 there are"
    few = client.post("/v1/recommendations", json={"history": [], "x": 1, "y": 2})
    assert len(few.json()["errors"]) == 2
