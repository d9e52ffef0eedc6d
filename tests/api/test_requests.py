"""Requests as attackers and careless clients send them: other hosts, keys that stand twice, two lengths; and HEAD."""

from collections.abc import Sequence

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from api.app import create_app
from recsys.cli.serving import allowed_hosts
from recsys.settings import Settings
from tests.api.fake import FakeRecommender, client_over

JSON = {"Content-Type": "application/json"}
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@pytest.fixture
def client() -> TestClient:
    return client_over(FakeRecommender())


def asked_of(host: str, *, allowed: Sequence[str]) -> Response:
    return TestClient(create_app(FakeRecommender(), allowed_hosts=allowed)).get("/v1/items/50", headers={"Host": host})


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "localhost.", "127.0.0.1:80", "[::1]", "[::1]:8000"])
def test_a_name_of_the_loopback_is_served(host: str) -> None:
    assert asked_of(host, allowed=LOOPBACK).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "xlocalhost",
        "127.0.0.1.evil.example",
        "",
        "[::2]",
    ],
)
def test_any_other_host_is_refused(host: str) -> None:
    response = asked_of(host, allowed=LOOPBACK)
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "RECSYS_ALLOWED_HOSTS" in response.json()["detail"]


def test_a_wildcard_allows_the_names_below_it() -> None:
    statuses = [
        asked_of(host, allowed=["*.shop.example"]).status_code
        for host in ("a.shop.example", "shop.example", "xshop.example")
    ]
    assert statuses == [200, 400, 400]
    assert asked_of("anything", allowed=["*"]).status_code == 200


def test_the_loopback_is_the_default_where_the_service_listens_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"localhost", "127.0.0.1", "[::1]"} <= set(allowed_hosts(Settings(), address="127.0.0.1"))
    assert "127.0.0.9" in allowed_hosts(Settings(host="127.0.0.9"), address="127.0.0.9")
    assert allowed_hosts(Settings(host="0.0.0.0"), address="0.0.0.0") == ("*",)
    monkeypatch.setenv("RECSYS_ALLOWED_HOSTS", "shop.example, *.shop.example")
    assert allowed_hosts(Settings(), address="127.0.0.1") == ("shop.example", "*.shop.example")


GETS = (
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/",
    "/v1/models",
    "/v1/items",
    "/v1/items/50",
    "/v1/items/50/similar",
    "/v1/users/u/recommendations",
    "/v1/items/unknown",
    "/v1/nothing",
)


@pytest.mark.parametrize("path", GETS)
def test_head_is_get_without_the_body(client: TestClient, path: str) -> None:
    get, head = client.get(path), client.head(path)
    assert head.status_code == get.status_code
    assert head.headers.keys() == get.headers.keys()
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert head.content == b""


def test_head_is_counted_as_itself_and_refused_where_there_is_no_get(client: TestClient) -> None:
    client.head("/v1/items/a%2Fb")
    counted = 'recsys_requests_total{method="HEAD",route="/v1/items/{item_id:path}",status="404"} 1.0'
    assert counted in client.get("/metrics").text
    assert client.head("/v1/events").status_code == 405


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/recommendations", '{"history": [], "k": 1, "k": 1000}'),
        ("/v1/recommendations", '{"history": [], "k": 1, "\\u006b": 1}'),
        ("/v1/events", '[{"user_id": "u", "item_id": "50", "user_id": "v"}]'),
        ("/v1/items:batch", '{"items": [{"item_id": "a", "attributes": {"deep": [{"k": 1, "k": 2}]}}]}'),
        ("/v1/playlists/continue", '{"item_ids": ["50"], "k": 1, "k": 1}'),
        ("/v1/search", '{"query": "a", "k": 1, "k": 1}'),
    ],
)
def test_a_key_that_stands_twice_is_refused(client: TestClient, path: str, body: str) -> None:
    response = client.post(path, content=body, headers=JSON)
    assert response.status_code == 400
    assert response.json()["detail"].startswith("the body has the key ")
    assert "twice in one object" in response.json()["detail"]


def test_equal_keys_of_different_objects_are_fine(client: TestClient) -> None:
    events = [{"user_id": "u", "item_id": "50"}, {"user_id": "u", "item_id": "50"}]
    assert client.post("/v1/events", json=events).status_code == 201


def test_content_length_beside_transfer_encoding_is_refused(client: TestClient) -> None:
    headers = {**JSON, "Content-Length": "14", "Transfer-Encoding": "chunked"}
    response = client.post("/v1/recommendations", content=b'{"history":[]}', headers=headers)
    assert response.status_code == 400
    assert response.headers["Connection"] == "close"
    assert "Transfer-Encoding" in response.json()["detail"]
