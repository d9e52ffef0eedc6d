"""The routes over a trained bundle and a real store: nothing waits for a retraining, and no bad request is our failure."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from recsys.service import Recommender
from recsys.store import Store
from tests.worlds import Planted

Served = tuple[Recommender, Store, Planted]


@pytest.fixture
def client(served: Served) -> Iterator[TestClient]:
    with TestClient(create_app(served[0]), raise_server_exceptions=False) as client:
        yield client


def recommended(client: TestClient, history: list[str], **options: object) -> list[str]:
    response = client.post("/v1/recommendations", json={"history": history, **options})
    assert response.status_code == 200, response.text
    return [item["item_id"] for item in response.json()["items"]]


def test_a_put_item_is_recommendable_in_the_next_request(client: TestClient, served: Served) -> None:
    neighbour = next(iter(served[2].world.successor))
    twin = client.get(f"/v1/items/{neighbour}").json()
    for item_id in ("new", "with/slash", "ünï ¢ode?#%"):
        path = f"/v1/items/{quote(item_id, safe='')}"
        body = {"title": twin["title"], "attributes": twin["attributes"]}
        assert client.put(path, json=body).status_code == 200
        assert item_id in recommended(client, [neighbour], k=3 + 3, encoder="text")
        assert client.delete(path).status_code == 204
        assert item_id not in recommended(client, [neighbour], k=50, include_seen=True)
        assert client.get(path).status_code == 404


def test_a_posted_event_changes_the_next_answer(client: TestClient, served: Served) -> None:
    start, after = next(iter(served[2].world.successor.items()))
    path = "/v1/users/never%2Fseen/recommendations"
    assert client.get(path).json()["degraded"][0]["what"] == "user"
    event = client.post("/v1/events", json={"user_id": "never/seen", "item_id": start}).json()["events"][0]
    answer = client.get(path).json()
    assert answer["degraded"] == []
    assert answer["items"][0]["item_id"] == after
    assert client.delete(f"/v1/events/{event['event_id']}").status_code == 204
    assert client.get(path).json()["degraded"][0]["what"] == "user"


def test_the_same_event_again_is_fine_and_another_under_its_id_is_a_conflict(
    client: TestClient, served: Served
) -> None:
    first, second = list(served[2].world.successor)[:2]
    event = {"user_id": "u", "item_id": first, "event_id": "e-1"}
    assert client.post("/v1/events", json=event).status_code == 201
    assert client.post("/v1/events", json=event).status_code == 201
    response = client.post("/v1/events", json=event | {"item_id": second})
    assert response.status_code == 409
    assert "give it another event_id" in response.json()["detail"]


def test_a_history_of_ten_thousand_is_answered(client: TestClient, served: Served) -> None:
    items = list(served[2].world.successor) * 250
    assert len(items) == 10_000
    assert recommended(client, items, include_seen=True)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/v1/recommendations", {"history": [50]}, 422, "put the number in quotes"),
        ("POST", "/v1/recommendations", {"history": ["x"] * 10_001}, 422, "10000"),
        ("POST", "/v1/recommendations", {"history": [], "k": 0}, 422, "greater than or equal to 1"),
        ("POST", "/v1/recommendations", {"history": [], "k": 1001}, 422, "less than or equal to 1000"),
        ("POST", "/v1/recommendations", {"histroy": []}, 422, "correct its name"),
        ("POST", "/v1/recommendations", {"history": [], "encoder": "bert"}, 422, "choose one of als, blend"),
        ("GET", "/v1/users/u/recommendations?k=no", None, 422, "valid integer"),
        ("GET", "/v1/items/b-17/similar", None, 404, "unknown item 'b-17'"),
        ("DELETE", "/v1/items/b-17", None, 404, "unknown item 'b-17'"),
        ("POST", "/v1/events", {"user_id": "u", "item_id": "b-17"}, 404, "PUT it first"),
        ("POST", "/v1/events", {"user_id": "u", "item_id": "x", "at": "yesterday"}, 422, "ISO 8601"),
    ],
)
def test_bad_requests_say_what_to_do(
    client: TestClient, method: str, path: str, body: object, status: int, says: str
) -> None:
    response = client.request(method, path, json=body)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert says in response.text


def test_more_than_the_catalogue_is_told(client: TestClient) -> None:
    answer = client.post("/v1/recommendations", json={"history": [], "k": 1000}).json()
    assert len(answer["items"]) == 40
    assert [entry["what"] for entry in answer["degraded"]] == ["history", "k"]


def test_broken_json_and_twenty_megabytes_are_refused(client: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    broken = client.post("/v1/recommendations", content=b'{"history": [', headers=headers)
    assert broken.status_code == 400
    large = client.post("/v1/recommendations", content=b"[" + b"1," * 10_000_000 + b"1]", headers=headers)
    assert large.status_code == 413
    assert "send less at a time" in large.json()["detail"]


def test_models_show_settings_and_figures(client: TestClient) -> None:
    models = client.get("/v1/models").json()
    parts = {part["name"]: part for part in models["parts"]}
    assert models["default"] == "blend"
    assert parts["sasrec-hybrid"]["settings"]["recipe"]["items"] == "hybrid"
    assert 0 < parts["blend"]["figures"]["validation_ndcg@10"] <= 1
    gains = parts["blend"]["figures"]["with_minus_without"]
    assert {"mean", "low", "high"} == set(gains["sasrec-hybrid"])
    state = client.get("/readyz").json()
    assert (state["ready"], state["reasons"]) == (True, [])
    assert state["bundle"] == state["active_bundle"] == models["bundle"]


def test_ten_thousand_words_emoji_and_other_scripts_are_searched_and_markup_alone_is_refused(
    client: TestClient,
) -> None:
    for query in ("word " * 10_000, "🎸🔥", "日本語のテキスト", "<b>item</b> <i>two</i>"):
        response = client.post("/v1/search", json={"query": query, "k": 3})
        assert response.status_code == 200, response.text
        assert len(response.json()["items"]) == 3
        assert response.json()["encoder"] == "search"
    response = client.post("/v1/search", json={"query": "<br/> <!-- nothing -->"})
    assert response.status_code == 422
    assert "send words, not markup alone" in response.json()["detail"]


def test_an_item_without_a_title_is_stored_and_answers(client: TestClient) -> None:
    assert client.put("/v1/items/blank", json={}).status_code == 200
    answer = client.get("/v1/items/blank/similar?k=3&encoder=text").json()
    assert all(item["score"] == item["score"] for item in answer["items"])


def test_models_says_that_a_part_has_one_size(client: TestClient) -> None:
    parts = client.get("/v1/models").json()["parts"]
    assert all(part["sizes"] == [] for part in parts)
    answer = client.post("/v1/search", json={"query": "item", "dims": 64}).json()
    assert answer["degraded"] == [{"what": "dims", "why": "text has one size, its whole"}]


def test_live_models_count_what_is_posted_and_are_listed(client: TestClient, served: Served) -> None:
    first, second = list(served[2].world.successor)[:2]
    for item_id, times in ((first, 2), (second, 3)):
        event = {"user_id": "u", "item_id": item_id}
        assert client.post("/v1/events", json=[event] * times).status_code == 201
    path = "/v1/users/nobody/recommendations?model=popular&window=24h"
    answer = client.get(path).json()
    assert [item["item_id"] for item in answer["items"]] == [second, first]
    assert (answer["bundle"], answer["encoder"]) == (None, "popular")
    assert recommended(client, [second], model="trending", window="7d") == [first]
    assert client.put("/v1/items/new", json={"title": "New", "domain": "shoes"}).status_code == 200
    assert recommended(client, [], model="newest")[0] == "new"
    assert recommended(client, [], model="newest", domain="shoes") == recommended(client, [], domain="shoes") == ["new"]
    live = {model["name"]: model for model in client.get("/v1/models").json()["live"]}
    assert live.keys() == {"popular", "trending", "newest"}
    for model in live.values():
        assert recommended(client, [], model=model["name"], window=model["default_window"]) is not None


@pytest.mark.parametrize(
    ("options", "detail"),
    [
        ({"model": "hot"}, "'popular', 'trending' or 'newest'"),
        ({"model": "popular", "window": "24"}, "1h to 720h, 1d to 30d, or all"),
        ({"window": "24h"}, "goes with model="),
    ],
)
def test_models_and_windows_that_are_not_there_are_refused(
    client: TestClient, options: dict[str, str], detail: str
) -> None:
    posted = client.post("/v1/recommendations", json={"history": [], **options})
    got = client.get("/v1/users/u/recommendations", params=options)
    assert posted.status_code == got.status_code == 422
    assert detail in posted.text.replace("\\u2019", "'")
    assert detail in got.text
