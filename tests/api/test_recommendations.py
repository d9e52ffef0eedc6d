import pytest
from fastapi.testclient import TestClient

from api.schemas.responses import Recommendations
from recsys.service import Options
from tests.api.fake import FakeRecommender, client_over


@pytest.fixture
def recommender() -> FakeRecommender:
    return FakeRecommender()


@pytest.fixture
def client(recommender: FakeRecommender) -> TestClient:
    return client_over(recommender)


def ids(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def test_a_history_sent_along_is_answered_with_score_and_source(client: TestClient) -> None:
    response = client.post("/v1/recommendations", json={"history": ["50"], "k": 1})
    assert response.status_code == 200
    answer = response.json()
    assert answer["items"] == [
        {
            "item_id": "181",
            "title": "Return of the Jedi",
            "score": 10.0,
            "source": "domain",
            "sources": ["domain", "popular"],
            "because": None,
            "repeat": None,
        }
    ]
    assert answer["bundle"] == "bundles/blend-1"
    assert answer["encoder"] == "blend"
    assert answer["degraded"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/recommendations", {"history": ["50", "b-17"], "k": 2}),
        ("GET", "/v1/users/ann/recommendations", None),
        ("GET", "/v1/items/50/similar", None),
        ("POST", "/v1/search", {"query": "star"}),
    ],
)
def test_what_is_sent_is_what_is_documented(client: TestClient, method: str, path: str, body: object) -> None:
    """Answers are written without passing through the model that describes them."""
    sent = client.request(method, path, json=body).json()
    assert Recommendations.model_validate(sent).model_dump(mode="json") == sent


def test_a_stored_user_may_stand_in_the_body(client: TestClient) -> None:
    client.post("/v1/events", json={"user_id": "ann", "item_id": "50"})
    sent = client.post("/v1/recommendations", json={"user_id": "ann", "exclude": ["1"] * 2000}).json()
    assert sent["items"][0]["item_id"] == "181"
    assert "1" not in ids(sent)


@pytest.mark.parametrize("body", [{}, {"history": [], "user_id": "ann"}])
def test_a_history_or_a_user_and_not_both(client: TestClient, body: dict[str, object]) -> None:
    response = client.post("/v1/recommendations", json=body)
    assert response.status_code == 422
    assert "send either `history` or `user_id`" in response.json()["detail"]


def test_the_request_id_of_the_answer_stands_in_the_header(client: TestClient) -> None:
    response = client.get("/v1/users/ann/recommendations")
    assert response.headers["X-Request-ID"] == response.json()["request_id"]


def test_an_empty_history_is_answered_and_the_answer_says_so(client: TestClient) -> None:
    answer = client.post("/v1/recommendations", json={"history": []}).json()
    assert len(answer["items"]) == 3
    assert answer["degraded"][0]["what"] == "history"


def test_an_unknown_user_is_answered_and_the_answer_says_so(client: TestClient) -> None:
    answer = client.get("/v1/users/nobody/recommendations").json()
    assert len(answer["items"]) == 3
    assert answer["degraded"] == [{"what": "user", "why": "no events of user 'nobody': popular items are shown"}]


def test_unknown_ids_in_a_history_are_named(client: TestClient) -> None:
    answer = client.post("/v1/recommendations", json={"history": ["50", "b-17"]}).json()
    assert ids(answer)[0] == "181"
    assert "b-17" in answer["degraded"][0]["why"]


def test_without_a_bundle_there_is_an_answer_that_says_so() -> None:
    answer = client_over(FakeRecommender(trained=False)).post("/v1/recommendations", json={"history": ["50"]}).json()
    assert answer["bundle"] is None
    assert answer["items"]
    assert answer["degraded"][-1]["what"] == "bundle"


def test_all_options_reach_the_recommender(client: TestClient, recommender: FakeRecommender) -> None:
    body = {"history": ["50"], "k": 2, "exclude": ["1"], "include_seen": True, "encoder": "popular"}
    assert ids(client.post("/v1/recommendations", json=body).json()) == ["50", "181"]
    query = "k=2&exclude=1&exclude=50&include_seen=false&encoder=popular"
    assert ids(client.get(f"/v1/users/ann/recommendations?{query}").json()) == ["181"]
    assert recommender.requests == [
        (None, ("50",), Options(k=2, exclude=("1",), include_seen=True, encoder="popular")),
        ("ann", (), Options(k=2, exclude=("1", "50"), include_seen=False, encoder="popular")),
    ]


def test_left_out_options_stay_the_bundle_s_to_choose(client: TestClient, recommender: FakeRecommender) -> None:
    client.post("/v1/recommendations", json={"history": []})
    client.get("/v1/users/ann/recommendations")
    assert [options for _, _, options in recommender.requests] == [Options(), Options()]


def test_layers_and_dims_reach_the_recommender_from_every_question(
    client: TestClient, recommender: FakeRecommender
) -> None:
    client.post("/v1/recommendations", json={"history": [], "layers": 3, "dims": 64})
    client.post("/v1/search", json={"query": "star", "layers": 3, "dims": 64})
    client.get("/v1/users/ann/recommendations?layers=3&dims=64")
    assert client.get("/v1/items/50/similar?layers=3&dims=64").status_code == 200
    assert [(options.layers, options.dims) for _, _, options in recommender.requests] == [(3, 64)] * 3


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True, 10**6])
@pytest.mark.parametrize("field", ["layers", "dims"])
def test_a_size_that_is_no_size_is_refused(client: TestClient, field: str, value: object) -> None:
    for path, body in (("/v1/search", {"query": "star"}), ("/v1/recommendations", {"history": []})):
        response = client.post(path, json={**body, field: value})
        assert response.status_code == 422
        assert response.json()["errors"][0]["where"] == f"body.{field}"
    assert client.get(f"/v1/items/50/similar?{field}=0").status_code == 422


def test_a_text_finds_items_by_their_words(client: TestClient, recommender: FakeRecommender) -> None:
    body = {"query": "toy star wars", "k": 2, "exclude": ["181"], "domain": "space"}
    answer = client.post("/v1/search", json=body)
    assert answer.status_code == 200
    assert ids(answer.json()) == ["50"]
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"]
    assert ids(client.post("/v1/search", json={"query": "toy star wars"}).json()) == ["50", "1"]
    assert recommender.requests[0][1] == ("toy star wars", "space")


def test_a_user_or_a_history_may_stand_beside_a_text(client: TestClient, recommender: FakeRecommender) -> None:
    for beside in ({"user_id": "ann"}, {"history": ["50"]}, {}):
        assert client.post("/v1/search", json={"query": "star", "include_rejected": True, **beside}).status_code == 200
    sent = [(question.user_id, question.history) for question in recommender.texts]
    assert sent == [("ann", None), (None, ["50"]), (None, None)]
    assert all(question.options.include_seen and question.options.include_rejected for question in recommender.texts)
    both = client.post("/v1/search", json={"query": "star", "user_id": "ann", "history": []})
    assert both.status_code == 422
    assert "send either `history` or `user_id`, or neither" in both.json()["detail"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "body.query"),
        ({"query": ""}, "body.query"),
        ({"query": None}, "body.query"),
        ({"query": 7}, "body.query"),
        ({"query": "x" * 100_001}, "body.query"),
        ({"query": "a\x00b"}, "body.query"),
        ({"query": "a", "k": 0}, "body.k"),
        ({"query": "a", "domain": 3}, "body.domain"),
        ({"query": "a", "encoder": "text"}, "body.encoder"),
    ],
)
def test_a_search_that_cannot_be_is_refused_with_its_place(
    client: TestClient, body: dict[str, object], where: str
) -> None:
    response = client.post("/v1/search", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["where"] == where


@pytest.mark.parametrize("k", ["0", "-1", "1001", "1" + 30 * "0", "1.5", "1.0", '"10"', "true", "null", "NaN", "1e999"])
def test_k_outside_one_to_a_thousand_is_refused(client: TestClient, k: str) -> None:
    body = f'{{"history": [], "k": {k}}}'
    response = client.post("/v1/recommendations", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["where"] == "body.k"


@pytest.mark.parametrize("k", ["0", "1001", "x", "1e3", "9" * 5000, "", "%00"])
def test_k_in_a_query_is_checked_too(client: TestClient, k: str) -> None:
    response = client.get(f"/v1/users/ann/recommendations?k={k}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["where"] == "query.k"


def test_more_than_the_catalogue_may_be_asked_for(client: TestClient) -> None:
    assert len(client.post("/v1/recommendations", json={"history": [], "k": 1000}).json()["items"]) == 3


def test_ten_thousand_items_of_history_are_taken_and_one_more_is_refused(client: TestClient) -> None:
    assert client.post("/v1/recommendations", json={"history": ["50"] * 10_000}).status_code == 200
    response = client.post("/v1/recommendations", json={"history": ["50"] * 10_001})
    assert response.status_code == 422
    assert "10000" in response.json()["detail"]


def test_a_number_as_id_is_refused_with_the_place_and_the_way_out(client: TestClient) -> None:
    response = client.post("/v1/recommendations", json={"history": ["50", 181]})
    assert response.status_code == 422
    assert response.json()["errors"] == [
        {"where": "body.history.1", "message": "ids are strings: put the number in quotes"}
    ]


def test_misspelt_options_are_refused(client: TestClient) -> None:
    in_body = client.post("/v1/recommendations", json={"history": [], "includeSeen": True})
    in_query = client.get("/v1/users/ann/recommendations?includeSeen=true")
    assert (in_body.status_code, in_query.status_code) == (422, 422)
    assert in_body.json()["detail"] == "body.includeSeen: there is no such field: correct its name or leave it out"
    assert in_query.json()["errors"][0]["where"] == "query.includeSeen"


def test_an_unknown_encoder_is_refused_with_the_known_ones(client: TestClient) -> None:
    response = client.post("/v1/recommendations", json={"history": [], "encoder": "bert"})
    assert response.status_code == 422
    assert "blend, popular" in response.json()["detail"]


def test_similar_items_leave_out_the_item_itself(client: TestClient) -> None:
    assert ids(client.get("/v1/items/50/similar").json()) == ["181", "1"]
    assert ids(client.get("/v1/items/50/similar?k=1&exclude=181").json()) == ["1"]


def test_similar_to_an_unknown_item_is_not_found(client: TestClient) -> None:
    response = client.get("/v1/items/b-17/similar")
    assert response.status_code == 404
    assert response.json()["detail"] == "unknown item 'b-17': PUT it first or leave it out"


def test_allow_shows_these_alone_and_may_be_as_long_as_the_body(
    client: TestClient, recommender: FakeRecommender
) -> None:
    many = [f"other-{number}" for number in range(20_000)]
    body = {"history": [], "allow": ["1", *many], "exclude": many}
    answer = client.post("/v1/recommendations", json=body).json()
    assert [item["item_id"] for item in answer["items"]] == ["1"]
    options = recommender.requests[-1][2]
    assert (len(options.allow or ()), len(options.exclude)) == (20_001, 20_000)
    for path in ("/v1/users/ann/recommendations", "/v1/items/50/similar"):
        items = client.get(path, params={"allow": ["181", "1"], "exclude": "1"}).json()["items"]
        assert [item["item_id"] for item in items] == ["181"]


@pytest.mark.parametrize("bad", [[""], ["a\x00"], [7], "50", ["a" * 513]])
@pytest.mark.parametrize("field", ["allow", "exclude"])
def test_each_id_of_a_filter_is_checked(client: TestClient, field: str, bad: object) -> None:
    response = client.post("/v1/recommendations", json={"history": [], field: bad})
    assert response.status_code == 422
    assert response.json()["errors"][0]["where"].startswith(f"body.{field}")
