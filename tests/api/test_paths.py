"""Ids in paths are the caller's strings, whatever they hold."""

from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from tests.api.fake import FakeRecommender, client_over

ODD = [
    "a/b",
    "a/similar",
    "similar",
    "a b",
    "ü/ö",
    "100%",
    "%2F",
    "a%2Fb",
    "?q",
    "#x",
    "a//b",
    "/",
    "日本",
    "x:y",
    ";",
    "+",
    "7",
]


@pytest.fixture(scope="module")
def client() -> TestClient:
    return client_over(FakeRecommender())


@pytest.mark.parametrize("item_id", ODD)
def test_an_encoded_id_comes_back_as_it_was(client: TestClient, item_id: str) -> None:
    path = f"/v1/items/{quote(item_id, safe='')}"
    assert client.put(path, json={"title": "t"}).json()["item_id"] == item_id
    assert client.get(path).json()["item_id"] == item_id
    similar = client.get(f"{path}/similar?k=1000")
    assert similar.status_code == 200
    assert item_id not in [item["item_id"] for item in similar.json()["items"]]
    assert client.delete(path).status_code == 204


@pytest.mark.slow
@given(item_id=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20))
def test_any_id_comes_back_as_it_was(item_id: str) -> None:
    client = client_over(FakeRecommender())
    if item_id in (".", ".."):
        return  # clients take these out of paths before they send them
    path = f"/v1/items/{quote(item_id, safe='')}"
    assert client.put(path, json={}).json()["item_id"] == item_id
    assert client.get(path).json()["item_id"] == item_id


def test_a_plain_slash_belongs_to_the_id_too(client: TestClient) -> None:
    assert client.put("/v1/items/p/q", json={}).json()["item_id"] == "p/q"
    assert client.get("/v1/items/p/q").json()["item_id"] == "p/q"
    assert client.get("/v1/items/p/q/similar").status_code == 200


def test_users_may_hold_slashes(client: TestClient) -> None:
    client.post("/v1/events", json={"user_id": "team/ann", "item_id": "50"})
    assert client.get("/v1/users/team/ann/recommendations").json()["degraded"] == []
    assert client.get("/v1/users/team%2Fann/recommendations").json()["degraded"] == []


@pytest.mark.parametrize("path", ["%ff", "%zz", "a%", "%c3%28"])
def test_a_path_that_is_no_utf8_is_refused(client: TestClient, path: str) -> None:
    response = client.get(f"/v1/items/{path}")
    assert response.status_code in (400, 404)  # the client may repair `%zz` before it sends it
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["", "%00", "a%00b", "x" * 513])
def test_ids_that_cannot_be_stored_are_refused(client: TestClient, path: str) -> None:
    for response in (client.get(f"/v1/items/{path}"), client.put(f"/v1/items/{path}", json={})):
        assert response.status_code == 422
        assert response.json()["errors"][0]["where"] == "path.item_id"
