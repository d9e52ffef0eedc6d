"""Health, readiness, models, metrics, the page's files and the description of it all."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from api.routes.page import FILES
from api.schemas.items import AvailabilityBatch, ItemContent, NewItem
from api.schemas.playlists import PlaylistContent
from api.schemas.requests import NewEvent, RecommendRequest
from api.schemas.responses import Recommendations
from tests.api.fake import FakeRecommender, client_over


@pytest.fixture
def client() -> TestClient:
    return client_over(FakeRecommender())


def sample(client: TestClient, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


def test_a_trained_service_is_healthy_and_ready(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    body = {"ready": True, "reasons": [], "bundle": "bundles/blend-1", "active_bundle": "bundles/blend-2"}
    assert client.get("/readyz").json() == body


def test_without_a_bundle_it_is_healthy_and_says_why_it_is_not_ready() -> None:
    client = client_over(FakeRecommender(trained=False))
    assert client.get("/healthz").status_code == 200
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["reasons"] == ["no active bundle: run `recsys train blend`"]
    assert (response.json()["bundle"], response.json()["active_bundle"]) == (None, "bundles/blend-2")
    assert client.get("/v1/models").json() == {
        "bundle": None,
        "default": "popular",
        "about": {},
        "text_encoder": None,
        "parts": [],
        "lists": [],
        "live": [],
    }


def test_models_come_with_their_figures(client: TestClient) -> None:
    answer = client.get("/v1/models").json()
    assert [part["name"] for part in answer["parts"]] == ["blend", "popular"]
    assert answer["parts"][0]["figures"]["ndcg@10"]["mean"] == 0.1234


def test_requests_are_counted_by_route_and_status(client: TestClient) -> None:
    for item_id in ("50", "181", "b-17"):
        client.get(f"/v1/items/{item_id}")
    client.post("/v1/models")
    client.get("/nothing")
    route = "/v1/items/{item_id:path}"
    assert sample(client, "recsys_requests_total", method="GET", route=route, status="200") == 2
    assert sample(client, "recsys_requests_total", method="GET", route=route, status="404") == 1
    assert sample(client, "recsys_request_seconds_count", method="GET", route=route, status="200") == 2
    assert sample(client, "recsys_requests_total", method="GET", route="none", status="404") == 1
    assert sample(client, "recsys_requests_total", method="POST", status="405") == 1


def test_failures_are_counted_too() -> None:
    recommender = FakeRecommender()
    recommender.fails = ZeroDivisionError("x")
    client = client_over(recommender)
    client.post("/v1/recommendations", json={"history": []})
    assert sample(client, "recsys_requests_total", route="/v1/recommendations", status="500") == 1


def test_recommendations_and_what_was_degraded_are_counted(client: TestClient) -> None:
    client.post("/v1/recommendations", json={"history": ["50"], "k": 2})
    client.post("/v1/recommendations", json={"history": ["b-17"], "k": 2})
    assert sample(client, "recsys_recommendations_total", encoder="blend") == 2
    assert sample(client, "recsys_recommended_items_total", encoder="blend") == 4
    assert sample(client, "recsys_degraded_total", what="history") == 1


def test_a_made_up_method_makes_no_series_of_its_own(client: TestClient) -> None:
    client.request("XYZZY", "/healthz")
    assert sample(client, "recsys_requests_total", method="other") == 1
    assert sample(client, "recsys_requests_total", method="XYZZY") is None


def test_two_apps_count_apart(client: TestClient) -> None:
    client.get("/healthz")
    assert sample(client_over(FakeRecommender()), "recsys_requests_total", route="/healthz") is None


@pytest.mark.parametrize("path", FILES)
def test_the_page_is_sent_with_a_strict_policy_and_asked_for_again_only_when_changed(
    client: TestClient, path: str
) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert response.headers["Cache-Control"] == "no-cache"
    again = client.get(path, headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.head(path).status_code == 200


def test_the_page_uses_nothing_from_elsewhere_and_no_markup_from_data(client: TestClient) -> None:
    files = "".join(client.get(path).text for path in FILES)
    assert "https://" not in files
    assert "innerHTML" not in files
    assert " style=" not in files


def test_answers_are_not_kept_by_caches(client: TestClient) -> None:
    assert client.get("/v1/models").headers["Cache-Control"] == "no-store"


def operations(client: TestClient) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_operation_is_named_described_and_documents_its_errors(client: TestClient) -> None:
    routes = list(operations(client))
    names = [operation["operationId"] for _, _, operation in routes]
    assert len(names) == len(set(names)) == 23
    assert all(operation["description"] for _, _, operation in routes)
    for path, _, operation in routes:
        assert "HTTPValidationError" not in str(operation)
        if path.startswith("/v1"):
            for status in ("400", "422", "500", "503"):
                content = operation["responses"][status]["content"]
                assert list(content) == ["application/problem+json"]


def test_every_reference_in_the_description_leads_somewhere(client: TestClient) -> None:
    document = client.get("/openapi.json").json()

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            for child in node.values():
                yield from references(child)
        elif isinstance(node, list):
            for child in node:
                yield from references(child)

    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"], reference


@pytest.mark.parametrize(
    "model",
    [RecommendRequest, ItemContent, NewItem, AvailabilityBatch, NewEvent, PlaylistContent, Recommendations],
)
def test_examples_are_valid(model: Any) -> None:
    examples = model.model_config["json_schema_extra"]["examples"]
    assert examples
    for example in examples:
        model.model_validate(example)
