"""Items, events, playlists and users: what is written is seen by the next request."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.fake import FakeRecommender, client_over


@pytest.fixture
def client() -> TestClient:
    return client_over(FakeRecommender())


def recommended(client: TestClient, history: list[str]) -> list[str]:
    answer = client.post("/v1/recommendations", json={"history": history}).json()
    return [item["item_id"] for item in answer["items"]]


def test_a_new_item_is_recommended_and_a_deleted_one_gone(client: TestClient) -> None:
    content = {"title": "Alien", "domain": "space", "attributes": {"year": 1979, "cast": ["Weaver", None]}}
    response = client.put("/v1/items/new", json=content)
    assert response.status_code == 200
    assert response.json() == {"item_id": "new", **content, "available": True}
    assert client.get("/v1/items/new").json() == response.json()
    assert "new" in recommended(client, ["50"])
    assert client.delete("/v1/items/new").status_code == 204
    assert client.get("/v1/items/new").status_code == 404
    assert "new" not in recommended(client, ["50"])


def test_items_come_in_batches(client: TestClient) -> None:
    response = client.post("/v1/items:batch", json={"items": [{"item_id": "a"}, {"item_id": "b", "title": "B"}]})
    assert response.status_code == 200
    assert [item["item_id"] for item in response.json()["items"]] == ["a", "b"]
    assert client.get("/v1/items/b").json()["title"] == "B"


@pytest.mark.parametrize("items", [[], [{"item_id": "a"}] * 1001, [{"item_id": 7}], [{"title": "no id"}]])
def test_a_batch_that_is_empty_too_long_or_wrong_is_refused(client: TestClient, items: list[object]) -> None:
    assert client.post("/v1/items:batch", json={"items": items}).status_code == 422


def test_a_sold_out_item_is_not_recommended_and_stays_sold_out_until_it_is_said_to_be_back(client: TestClient) -> None:
    assert client.put("/v1/items/181", json={"available": False}).json()["available"] is False
    assert "181" not in recommended(client, ["50"])
    assert client.put("/v1/items/181", json={"title": "Renamed"}).json()["available"] is False
    assert client.get("/v1/items/181").json()["available"] is False
    batch = {"items": [{"item_id": "181", "available": True}, {"item_id": "50", "available": None}]}
    assert [item["available"] for item in client.post("/v1/items:batch", json=batch).json()["items"]] == [True, True]
    assert "181" in recommended(client, ["50"])


def test_availability_of_many_items_comes_at_once(client: TestClient) -> None:
    def post(*pairs: tuple[str, bool]) -> dict[str, object]:
        items = [{"item_id": item_id, "available": available} for item_id, available in pairs]
        answer: dict[str, object] = client.post("/v1/items:availability", json={"items": items}).json()
        return answer

    client.post("/v1/items:batch", json={"items": [{"item_id": str(number)} for number in range(1000)]})
    assert post(*((str(number), False) for number in range(1000))) == {"changed": 1000}
    assert post(("181", False), ("181", True), ("50", False)) == {"changed": 1}  # the last counts
    assert recommended(client, []) == ["181"]
    unknown = post(("50", True), ("b-17", False))
    assert (unknown["status"], "b-17" in str(unknown["detail"])) == (404, True)
    assert client.get("/v1/items/50").json()["available"] is False


@pytest.mark.parametrize(
    ("items", "where"),
    [
        ([], "body.items"),
        ([{"item_id": "50", "available": True}] * 10_001, "body.items"),
        ([{"item_id": "50"}], "body.items.0.available"),
        ([{"item_id": "50", "available": "no"}], "body.items.0.available"),
        ([{"item_id": "50", "available": 0}], "body.items.0.available"),
        ([{"item_id": "50", "available": None}], "body.items.0.available"),
        ([{"item_id": 50, "available": True}], "body.items.0.item_id"),
        ([{"item_id": "50", "available": True, "title": "x"}], "body.items.0.title"),
        ({"50": True}, "body.items"),
    ],
)
def test_an_availability_that_is_not_clear_is_refused(client: TestClient, items: object, where: str) -> None:
    response = client.post("/v1/items:availability", json={"items": items})
    assert response.status_code == 422
    assert [error["where"] for error in response.json()["errors"]] == [where]
    assert client.put("/v1/items/50", json={"available": "maybe"}).status_code == 422


def test_items_are_found_by_title_or_id(client: TestClient) -> None:
    def find(query: str) -> list[str]:
        return [item["item_id"] for item in client.get("/v1/items", params={"query": query}).json()["items"]]

    assert find("STAR") == ["50"]
    assert find("18") == ["181"]
    assert find("") == ["50", "181", "1"]
    assert len(client.get("/v1/items?limit=2").json()["items"]) == 2
    assert client.get("/v1/items?limit=0").status_code == 422
    assert client.get("/v1/items?query=%00").status_code == 422


def test_an_event_changes_the_next_answer(client: TestClient) -> None:
    at, visit = "2026-01-31T13:00:00+01:00", "visit-17"
    event = {"user_id": "ann", "item_id": "50", "at": at, "event_id": "e1", "session_id": visit}
    response = client.post("/v1/events", json=event)
    assert response.status_code == 201
    stored = response.json()["events"][0]
    assert stored["at"] == "2026-01-31T12:00:00Z"
    assert stored == {**event, "at": stored["at"], "position": None, "kind": "view", "weight": 1.0}
    answer = client.get("/v1/users/ann/recommendations").json()
    assert answer["items"][0]["item_id"] == "181"
    assert client.delete("/v1/events/e1").status_code == 204
    assert client.get("/v1/users/ann/recommendations").json()["degraded"][0]["what"] == "user"
    assert client.delete("/v1/events/e1").status_code == 404


def test_events_come_one_or_many(client: TestClient) -> None:
    many = [{"user_id": "ann", "item_id": item_id} for item_id in ("50", "1")]
    response = client.post("/v1/events", json=many)
    assert [event["item_id"] for event in response.json()["events"]] == ["50", "1"]
    assert client.post("/v1/events", json=[]).status_code == 422
    assert client.post("/v1/events", json=[*many, {"user_id": "ann", "item_id": 1}]).json()["errors"] == [
        {"where": "body.events.2.item_id", "message": "ids are strings: put the number in quotes"}
    ]


@pytest.mark.parametrize("sent", [{}, {"weight": 5.5}, {"weight": -1}])
def test_a_rating_comes_with_its_value(client: TestClient, sent: dict[str, Any]) -> None:
    event = {"user_id": "ann", "item_id": "50", "kind": "Rating"}
    response = client.post("/v1/events", json=event | sent)
    assert response.status_code == 422
    assert "send the value of a rating as its `weight`, from 0 to 5" in response.json()["detail"]
    stored = client.post("/v1/events", json=event | {"weight": 4.5}).json()["events"][0]
    assert (stored["kind"], stored["weight"]) == ("Rating", 4.5)


def test_an_event_about_an_unknown_item_is_not_found(client: TestClient) -> None:
    response = client.post("/v1/events", json={"user_id": "ann", "item_id": "b-17"})
    assert response.status_code == 404
    assert "b-17" in response.json()["detail"]


def test_an_event_id_with_other_content_is_a_conflict(client: TestClient) -> None:
    assert client.post("/v1/events", json={"user_id": "a", "item_id": "50", "event_id": "e"}).status_code == 201
    assert client.post("/v1/events", json={"user_id": "a", "item_id": "50", "event_id": "e"}).status_code == 201
    assert client.post("/v1/events", json={"user_id": "a", "item_id": "1", "event_id": "e"}).status_code == 409


AT = [
    1700000000,
    "1700000000",
    "yesterday",
    "2026-01-31T12:00:00",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "1969-12-31T23:59:59Z",
    "2999-01-01T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "",
    "\x00",
    True,
    [],
]


@pytest.mark.parametrize("at", AT)
def test_times_without_zone_or_outside_the_calendar_are_refused(client: TestClient, at: object) -> None:
    response = client.post("/v1/events", json={"user_id": "ann", "item_id": "50", "at": at})
    assert response.status_code == 422
    assert response.json()["errors"][0]["where"] == "body.event.at"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weight", '"1"'),
        ("weight", "NaN"),
        ("weight", "-Infinity"),
        ("weight", "1e300"),
        ("weight", "true"),
        ("position", "-1"),
        ("position", "1.5"),
        ("position", "99999999999999999999"),
        ("kind", '""'),
        ("kind", "null"),
        ("event_id", "7"),
        ("event_id", '""'),
        ("rating", "5"),
    ],
)
def test_other_fields_of_an_event_are_checked(client: TestClient, field: str, value: str) -> None:
    body = f'{{"user_id": "ann", "item_id": "50", "{field}": {value}}}'
    response = client.post("/v1/events", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["where"] == f"body.event.{field}"


@pytest.mark.parametrize(
    "attributes",
    [
        '{"a": NaN}',
        '{"a": [1, {"b": -Infinity}]}',
        '{"a": 1e999}',
        '{"a": 99999999999999999999}',
        '{"a": "\\u0000"}',
        '{"\\u0000": 1}',
        '{"a": ["\\ud800"]}',
        '{"a": ' + "[" * 20 + "]" * 20 + "}",
        "[]",
        '"text"',
        "null",
    ],
)
def test_attributes_that_a_database_cannot_hold_are_refused(client: TestClient, attributes: str) -> None:
    body = f'{{"attributes": {attributes}}}'
    response = client.put("/v1/items/x", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["where"] == "body.attributes"


def test_a_playlist_is_put_read_and_deleted(client: TestClient) -> None:
    content = {"name": "Saturday", "item_ids": ["50", "1", "50"]}
    assert client.put("/v1/playlists/rock/2026", json=content).json() == {"playlist_id": "rock/2026", **content}
    assert client.get("/v1/playlists/rock/2026").json()["item_ids"] == ["50", "1", "50"]
    assert client.put("/v1/playlists/x", json={"item_ids": ["b-17"]}).status_code == 404
    assert client.delete("/v1/playlists/rock/2026").status_code == 204
    assert client.get("/v1/playlists/rock/2026").status_code == 404


def test_a_user_is_forgotten(client: TestClient) -> None:
    client.post("/v1/events", json={"user_id": "ann/b", "item_id": "50"})
    assert client.delete("/v1/users/ann/b").status_code == 204
    assert client.get("/v1/users/ann/b/recommendations").json()["degraded"][0]["what"] == "user"
    assert client.delete("/v1/users/ann/b").status_code == 204
