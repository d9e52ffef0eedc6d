"""Every error is a problem document with a request id; what is ours to mend is not told to the caller."""

import json
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from api.app import create_app
from api.problems import STATUSES
from recsys import errors
from tests.api.fake import FakeRecommender, client_over

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def recommender() -> FakeRecommender:
    return FakeRecommender()


@pytest.fixture
def client(recommender: FakeRecommender) -> TestClient:
    return client_over(recommender)


def assert_problem(response: Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert body["title"]
    detail: str = body["detail"]
    return detail


def test_an_unknown_path_is_a_problem(client: TestClient) -> None:
    assert "/v1/nothing" in assert_problem(client.get("/v1/nothing"), 404)
    assert_problem(client.get("/v1/models/"), 404)


def test_a_wrong_method_is_a_problem_that_names_the_right_ones(client: TestClient) -> None:
    response = client.post("/v1/models")
    assert_problem(response, 405)
    assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"null",
        b"[1, 2",
        b'{"history": ["50"],}',
        b"\xff\xfe\xfa",
        b"[" * 100_000,
        b'{"k": ' + b"9" * 5000 + b"}",
    ],
)
def test_malformed_json_is_a_problem(client: TestClient, body: bytes) -> None:
    response = client.post("/v1/recommendations", content=body, headers=JSON)
    assert_problem(response, 422 if body in (b"", b"null") else 400)


def test_malformed_json_says_where(client: TestClient) -> None:
    response = client.post("/v1/recommendations", content=b'{"history": [}', headers=JSON)
    assert response.json()["detail"] == "the body is no valid JSON: Expecting value at character 13"


def test_another_content_type_is_a_problem(client: TestClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "nonsense"):
        response = client.post("/v1/recommendations", content=b'{"history": []}', headers={"Content-Type": kind})
        assert "application/json" in assert_problem(response, 415)


def test_a_body_over_the_limit_is_a_problem(client: TestClient) -> None:
    body = json.dumps({"history": ["x" * 100] * 60_000})
    assert "5,000,000" in assert_problem(client.post("/v1/recommendations", content=body, headers=JSON), 413)


def test_a_body_that_does_not_announce_its_length_is_counted(client: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(60):
            yield b" " * 100_000

    assert_problem(client.post("/v1/recommendations", content=pieces(), headers=JSON), 413)


@pytest.mark.parametrize("limit", [16, 17])
def test_the_limit_itself_is_allowed(limit: int) -> None:
    client = TestClient(create_app(FakeRecommender(), max_body=limit))
    body = b'{"history":["1"]}'
    assert len(body) == 17
    assert client.post("/v1/recommendations", content=body, headers=JSON).status_code == (200 if limit == 17 else 413)


@pytest.mark.parametrize(("kind", "status"), [*STATUSES.items(), (errors.BundleError, 500), (errors.RecsysError, 500)])
def test_each_error_has_its_status(
    client: TestClient, recommender: FakeRecommender, kind: type[errors.RecsysError], status: int
) -> None:
    recommender.fails = kind("secret host db-7")
    response = client.post("/v1/recommendations", json={"history": []})
    detail = assert_problem(response, status)
    assert ("db-7" in detail) == (
        kind in (errors.NotFound, errors.InvalidRequest, errors.Conflict, errors.NotReady, errors.Busy)
    )
    assert ("retry-after" in response.headers) == (status == 503)


def test_an_unexpected_error_is_a_problem_without_internals(
    client: TestClient, recommender: FakeRecommender, caplog: pytest.LogCaptureFixture
) -> None:
    recommender.fails = ZeroDivisionError("secret")
    response = client.post("/v1/recommendations", json={"history": []})
    assert "secret" not in assert_problem(response, 500)
    assert "secret" in caplog.text
    assert response.json()["request_id"] in [getattr(record, "request_id", None) for record in caplog.records]


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800", "a\\udfffb"])
def test_text_that_cannot_be_stored_is_refused(client: TestClient, text: str) -> None:
    for body in (
        f'{{"history": ["{text}"]}}',
        f'{{"history": [], "{text}": 1}}',
        f'{{"history": [], "encoder": "{text}"}}',
    ):
        assert_problem(client.post("/v1/recommendations", content=body, headers=JSON), 422)


def test_what_is_repeated_of_a_request_is_short(client: TestClient) -> None:
    response = client.post("/v1/recommendations", json={"history": [], "x" * 100_000: 1})
    assert len(response.content) < 2000
    response = client.post("/v1/recommendations", json={"history": [1] * 5000})
    assert len(response.json()["errors"]) == 20
    assert "4999 more" in response.json()["detail"]


def test_every_answer_carries_a_request_id_of_its_own(client: TestClient) -> None:
    seen = {client.get(path).headers["X-Request-ID"] for path in ("/healthz", "/healthz", "/", "/nothing", "/metrics")}
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        (
            "/v1/items:batch",
            {"items": [{"item_id": "a", "title": "word " * 10_000}]},
            "body.items.0.title: Value should have at most 10000 characters, not 50000",
        ),
        ("/v1/search", {"query": ""}, "body.query: Value should have at least 1 character, not 0"),
        ("/v1/items:batch", {"items": []}, "body.items: List should have at least 1 item, not 0"),
        ("/v1/items:batch", {"items": ["a"]}, "body.items.0: has to be a JSON object, in braces"),
        ("/v1/items:batch", ["a"], "body: has to be a JSON object, in braces"),
    ],
)
def test_what_is_too_long_or_of_another_kind_is_told_in_the_words_of_the_sender(
    client: TestClient, path: str, body: object, detail: str
) -> None:
    assert assert_problem(client.post(path, json=body), 422) == detail
