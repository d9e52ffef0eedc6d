"""What is sold out is in no answer of any kind, and everything else of it goes on."""

from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from recsys.batch.lists import score_lists
from recsys.batch.users import recommend_all
from recsys.service import Options, Recommender
from recsys.service.playlists.questions import ContinueOptions, SimilarOptions
from recsys.store import Store
from recsys.store.records import EventDraft
from tests.worlds import Planted

Served = tuple[Recommender, Store, Planted]
ALL = Options(k=40, include_seen=True)


@pytest.fixture
def pair(served: Served) -> tuple[str, str]:
    """An item and the one that follows it, which is sold out."""
    start, follower = next(iter(served[2].world.successor.items()))
    assert [item.item_id for item in served[0].recommend(history=[start], options=Options(k=1)).items] == [follower]
    served[0].set_availability({follower: False})
    return start, follower


def test_no_part_and_no_filling_up_shows_what_is_sold_out(served: Served, pair: tuple[str, str]) -> None:
    recommender, _, _ = served
    start, follower = pair
    for part in recommender.models()["parts"]:
        options = Options(k=40, include_seen=True, encoder=part["name"])
        for history in ([start], [], [follower]):
            answer = recommender.recommend(history=history, options=options)
            item_ids = [item.item_id for item in answer.items]
            assert len(item_ids) == 39, part["name"]
            assert follower not in item_ids, part["name"]
    recommender.set_availability({follower: True})
    assert recommender.recommend(history=[start]).items[0].item_id == follower


def test_what_is_sold_out_counts_in_histories_and_can_be_asked_about(served: Served, pair: tuple[str, str]) -> None:
    recommender, _, planted = served
    _, follower = pair
    recommender.add_events([EventDraft(user_id="new", item_id=follower)])
    for answer in (recommender.recommend(user_id="new"), recommender.similar(follower)):
        assert answer.items[0].item_id == planted.world.successor[follower]
        assert answer.degraded == ()


def test_an_allow_list_does_not_bring_back_what_is_sold_out_and_says_so(served: Served, pair: tuple[str, str]) -> None:
    start, follower = pair
    options = Options(k=3, include_seen=True, allow=(start, follower, follower, "b-17"))
    answer = served[0].recommend(history=[start], options=options)
    assert [item.item_id for item in answer.items] == [start]
    assert [(one.what, one.why) for one in answer.degraded] == [
        ("allow", "unknown items, which cannot be shown: b-17"),
        ("allow", f"items that are not available, and so not shown: {follower}"),
        ("k", "only 1 of the 3 items asked for can be shown"),
    ]


def test_lists_go_on_without_what_is_sold_out(served: Served, pair: tuple[str, str]) -> None:
    recommender, store, _ = served
    start, follower = pair
    store.put_playlist("holds", None, [start, follower])
    for repeats in (False, True):
        options = ContinueOptions(k=40, alternatives=2, repeats=repeats)
        for alternative in recommender.lists.continued([start, follower], None, options).alternatives:
            assert follower not in [item.item_id for item in alternative.items]
    assert recommender.lists.similar_to("holds", SimilarOptions(holds=follower)).playlists


def test_batch_scoring_leaves_out_what_is_sold_out(served: Served, pair: tuple[str, str], tmp_path: Path) -> None:
    recommender, store, _ = served
    list(recommend_all(recommender, store, tmp_path / "users.parquet", options=ALL))
    for playlist_id in store.playlist_ids()[5:]:
        store.delete_playlist(playlist_id)
    list(score_lists(recommender, store, tmp_path / "lists.parquet", options=ContinueOptions(k=40)))
    for name in ("users", "lists"):
        item_ids = pl.read_parquet(tmp_path / f"{name}.parquet")["item_id"]
        assert pair[0] in item_ids
        assert pair[1] not in item_ids


def test_it_is_still_sold_out_after_a_restart(served: Served, pair: tuple[str, str]) -> None:
    again = Recommender(served[1])
    try:
        assert pair[1] not in [item.item_id for item in again.recommend(history=[pair[0]], options=ALL).items]
        assert again.similar(pair[1]).items
    finally:
        again.close()


def test_over_http_it_counts_in_the_next_request(served: Served) -> None:
    start, follower = next(iter(served[2].world.successor.items()))

    def first(client: TestClient) -> str:
        answer = client.post("/v1/recommendations", json={"history": [start], "k": 1}).json()
        return str(answer["items"][0]["item_id"])

    with TestClient(create_app(served[0])) as client:
        for available in (False, True):
            body = {"items": [{"item_id": follower, "available": available}]}
            assert client.post("/v1/items:availability", json=body).json() == {"changed": 1}
            assert (first(client) == follower) is available
            assert client.get(f"/v1/items/{follower}/similar").json()["items"]
