"""Rejections and sessions, over HTTP and in batch, by the bundle of a planted world."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from recsys.service import Options, Recommender
from recsys.store import Store
from tests.worlds import Planted

Served = tuple[Recommender, Store, Planted]
USER = "eve"


@pytest.fixture
def client(served: Served) -> Iterator[TestClient]:
    with TestClient(create_app(served[0])) as opened:
        yield opened


@pytest.fixture
def films(client: TestClient) -> tuple[str, str, str]:
    """What the user bought in another session, looked at in this one, and dislikes."""
    bought, viewed, disliked = (item["item_id"] for item in client.get("/v1/items?limit=3").json()["items"])
    earlier = {"item_id": bought, "kind": "purchase", "session_id": "s1", "at": "2026-01-01T00:00:00Z"}
    now = [{"item_id": disliked, "kind": "dislike", "session_id": "s2"}, {"item_id": viewed, "session_id": "s2"}]
    assert client.post("/v1/events", json=[{"user_id": USER, **event} for event in (earlier, *now)]).is_success
    return bought, viewed, disliked


def shown(client: TestClient, among: tuple[str, ...], **options: Any) -> list[bool]:
    """Which of the items `among` are recommended to the user."""
    answer = client.get(f"/v1/users/{USER}/recommendations", params={"k": 1000, **options}).json()
    return _among(answer, among)


def shown_after(client: TestClient, among: tuple[str, ...], **body: Any) -> list[bool]:
    return _among(client.post("/v1/recommendations", json={"k": 1000, **body}).json(), among)


def _among(answer: dict[str, Any], item_ids: tuple[str, ...]) -> list[bool]:
    recommended = {item["item_id"] for item in answer["items"]}
    return [item_id in recommended for item_id in item_ids]


def test_what_a_user_rejected_is_shown_only_where_it_is_asked_for(
    client: TestClient, films: tuple[str, str, str]
) -> None:
    assert shown(client, films) == [False, False, False]
    assert shown(client, films, include_rejected=True) == [False, False, True]
    assert shown(client, films, include_seen=True) == [True, False, False]


def test_items_of_the_open_session_are_left_out_unless_asked_for(
    client: TestClient, films: tuple[str, str, str]
) -> None:
    assert shown(client, films, include_seen=True, include_open=True) == [True, True, False]
    assert shown(client, films, include_seen=True, session_id="s2") == [True, False, False]
    assert shown(client, films, include_seen=True, session_id="s3") == [True, True, False]


def test_a_session_is_sent_along_with_a_user_or_a_history(client: TestClient, films: tuple[str, str, str]) -> None:
    bought, viewed, disliked = films
    assert shown_after(client, films, history=[bought], session=[viewed], include_seen=True) == [True, False, True]
    sent = {"history": [bought], "session": [viewed], "include_seen": True, "include_open": True}
    assert shown_after(client, films, **sent) == [True, True, True]
    assert shown_after(client, films, user_id=USER, session=[bought], include_seen=True) == [False, False, False]
    assert shown_after(client, films, history=[], session=[disliked]) == [True, True, False]
    answer = client.post("/v1/recommendations", json={"history": [bought], "session": ["b-17"]}).json()
    assert {"what": "session", "why": "unknown items left out: b-17"} in answer["degraded"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Options(k=1000), [False, False, False]),
        (Options(k=1000, include_rejected=True), [False, False, True]),
        (Options(k=1000, include_seen=True), [True, False, False]),
        (Options(k=1000, include_seen=True, include_open=True), [True, True, False]),
        (Options(k=1000, include_seen=True, session_id="s3"), [True, True, False]),
    ],
)
def test_batch_scoring_leaves_out_the_same(
    served: Served, films: tuple[str, str, str], options: Options, expected: list[bool]
) -> None:
    recommender = served[0]
    ranking = recommender.rank_users([(USER, recommender.stored_history(USER))], options)
    rows = set(ranking.rows[0].tolist())
    assert [recommender.catalogue.row(item_id) in rows for item_id in films] == expected
