"""A query that pydantic reads at once means what it would have meant to FastAPI."""

from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Query, Request
from fastapi.testclient import TestClient

from api import query
from api.schemas.requests import RecommendQuery, SimilarItemsQuery

app = FastAPI()


@app.get("/theirs")
async def theirs(options: Annotated[RecommendQuery, Query()]) -> dict[str, Any]:
    return options.model_dump()


@app.get("/ours", openapi_extra=query.query_parameters(RecommendQuery))
async def ours(request: Request) -> dict[str, Any]:
    return query.parse_query(RecommendQuery, request).model_dump()


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "k=3&include_seen=true&encoder=blend",
        "allow=a&allow=b&exclude=c",
        "k=3&k=5",
        "k=",
        "k=0",
        "k=three&layers=-1",
        "include_seen=perhaps",
        "allow=",
        "exclude=%00",
        "encoder=%00",
        "misspelt=1",
        "misspelt=1&misspelt=2&k=no",
        "dims=100001&allow=a",
    ],
)
def test_both_read_the_same(sent: str) -> None:
    with TestClient(app) as client:
        first, second = (client.get(f"/{name}?{sent}") for name in ("theirs", "ours"))
    assert second.status_code == first.status_code
    if first.status_code == 200:
        assert second.json() == first.json()
    else:
        errors = [
            [(error["loc"], error["type"], error["msg"]) for error in response.json()["detail"]]
            for response in (first, second)
        ]
        assert errors[1] == errors[0]


def test_both_are_documented_alike() -> None:
    paths = app.openapi()["paths"]
    assert paths["/ours"]["get"]["parameters"] == paths["/theirs"]["get"]["parameters"]


def test_a_repeated_list_keeps_its_order() -> None:
    with TestClient(app) as client:
        assert client.get("/ours?allow=b&allow=a").json()["allow"] == ["b", "a"]


def test_fields_of_another_model_are_its_own() -> None:
    names = {parameter["name"] for parameter in query.query_parameters(SimilarItemsQuery)["parameters"]}
    assert names == set(SimilarItemsQuery.model_fields)
