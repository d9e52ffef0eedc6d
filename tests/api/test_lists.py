"""The routes for lists over a trained bundle and a real store: nothing waits for a retraining, nothing is silent."""

from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from api.app import create_app
from recsys.service import Recommender
from recsys.store import Store
from tests.worlds import NAMES, Planted

Served = tuple[Recommender, Store, Planted]


@pytest.fixture
def client(served: Served) -> Iterator[TestClient]:
    with TestClient(create_app(served[0]), raise_server_exceptions=False) as client:
        yield client


def post(client: TestClient, what: str, **body: Any) -> dict[str, Any]:
    response = client.post(f"/v1/playlists/{what}", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert response.headers["X-Request-ID"] == answer["request_id"]
    return answer


def ids(answer: dict[str, Any], alternative: int = 0) -> list[str]:
    return [item["item_id"] for item in answer["alternatives"][alternative]["items"]]


def lists(answer: dict[str, Any]) -> list[str]:
    return [row["playlist_id"] for row in answer["playlists"]]


def test_a_list_goes_on_with_what_followed_its_last_item(client: TestClient, served: Served) -> None:
    successor = served[2].world.successor
    first = next(iter(successor))
    item_ids = [first, successor[first]]
    assert successor[item_ids[-1]] in ids(post(client, "continue", item_ids=item_ids, k=3))


def test_a_name_alone_is_continued_by_the_items_of_lists_so_called(client: TestClient, served: Served) -> None:
    cluster = served[2].world.cluster
    items = ids(post(client, "continue", name=f"{NAMES[1]} mix", k=8))
    assert sum(cluster[item] == 1 for item in items) >= 6


def test_what_is_in_the_list_comes_back_only_when_it_may(client: TestClient, served: Served) -> None:
    item_ids = list(served[2].world.successor)[:6]
    assert not set(ids(post(client, "continue", item_ids=item_ids, k=34))) & set(item_ids)
    assert set(ids(post(client, "continue", item_ids=item_ids, k=40, repeats=True))) & set(item_ids)


def test_alternatives_differ_and_the_first_is_the_best(client: TestClient, served: Served) -> None:
    item_ids = list(served[2].world.successor)[:3]
    single = ids(post(client, "continue", item_ids=item_ids, k=5))
    answer = post(client, "continue", item_ids=item_ids, k=5, alternatives=3, strength=100)
    assert ids(answer) == single
    assert len({item for number in range(3) for item in ids(answer, number)}) == 15


def test_an_item_of_earlier_alternatives_loses_as_much_as_is_asked(client: TestClient, served: Served) -> None:
    item_ids = list(served[2].world.successor)[:3]
    answers = [
        post(client, "continue", item_ids=item_ids, k=5, alternatives=3, strength=strength)
        for strength in (0, 0.3, 1, 100)
    ]
    distinct = [
        len({item for number in range(len(row["alternatives"])) for item in ids(row, number)}) for row in answers
    ]
    assert distinct == sorted(distinct)
    assert (distinct[0], distinct[-1]) == (6, 15)  # without strength the last item of the first list is another
    assert [len(answer["alternatives"]) for answer in answers] == [3, 3, 3, 3]
    assert [answer["degraded"] for answer in answers] == [[], [], [], []]


def test_where_nothing_else_may_be_shown_there_are_fewer_alternatives_and_that_is_told(client: TestClient) -> None:
    (most,) = post(client, "continue", name="sunset", k=100)["alternatives"]
    answer = post(client, "continue", name="sunset", k=len(most["items"]), alternatives=2)
    assert len(answer["alternatives"]) == 1
    assert answer["degraded"] == [
        {"what": "alternatives", "why": "only 1 of 2 differ: nothing else may be shown, ask for fewer items"}
    ]


def test_alternatives_are_different_lists_without_being_told_how(client: TestClient, served: Served) -> None:
    """None is another in another order, as long as there are items enough."""
    item_ids = list(served[2].world.successor)[:3]
    answer = post(client, "continue", item_ids=item_ids, k=3, alternatives=8)
    assert len({frozenset(ids(answer, number)) for number in range(8)}) == 8
    assert answer["degraded"] == []


def test_of_one_group_a_list_holds_no_more_than_is_asked(client: TestClient, served: Served) -> None:
    item_ids = list(served[2].world.successor)[:3]
    clusters = served[2].world.cluster
    most = {}
    for most_of_group in (1, 2):
        answer = post(client, "continue", item_ids=item_ids, k=10, alternatives=2, most_of_group=most_of_group)
        for number in range(2):
            counts = Counter(clusters[item] for item in ids(answer, number))
            assert max(counts.values()) <= most_of_group
        most[most_of_group] = len(ids(answer))
        assert answer["degraded"][0]["what"] == "k"  # there are fewer groups than that
    assert most[2] == 2 * most[1]
    assert client.post("/v1/playlists/continue", json={"name": "x", "most_of_group": 0}).status_code == 422


def test_items_of_one_group_are_kept_apart_when_asked(client: TestClient, served: Served) -> None:
    store, planted = served[1], served[2]
    item_ids = list(planted.world.successor)[:3]
    kinds = {item: store.item(item).attributes for item in planted.world.cluster}
    named = next(key for key, value in next(iter(kinds.values())).items() if isinstance(value, str))

    def groups(same_group: float) -> int:
        items = ids(post(client, "continue", item_ids=item_ids, k=4, same_group=same_group))
        return len({str(kinds[item][named]) for item in items})

    assert groups(0) <= groups(1000)
    assert groups(1000) == min(4, len({str(kind[named]) for kind in kinds.values()}))


def test_where_popularity_answers_for_items_that_are_known_it_is_told(client: TestClient) -> None:
    client.put("/v1/items/solo", json={"title": "of which no list tells anything"})
    degraded = post(client, "continue", item_ids=["solo"], k=3)["degraded"]
    assert [row["what"] for row in degraded] == ["items"]
    assert degraded[0]["why"] == (
        "nothing that goes with these items in the lists learned from outweighs popularity: popular items answer"
    )
    assert (
        post(client, "continue", item_ids=["solo"], k=3, encoder="popular")["degraded"][0]["why"] != degraded[0]["why"]
    )


def test_what_is_excluded_stays_away(client: TestClient, served: Served) -> None:
    item_ids = list(served[2].world.successor)[:3]
    first = ids(post(client, "continue", item_ids=item_ids, k=5))
    others = ids(post(client, "continue", item_ids=item_ids, k=5, exclude=first[:2]))
    assert not set(others) & set(first[:2])
    assert set(first[2:]) < set(others)  # in another order, perhaps: sources are weighed among what may be shown


def test_too_much_is_answered_in_part_and_told(client: TestClient, served: Served) -> None:
    item_ids = list(served[2].world.successor)[:6]
    answer = post(client, "continue", item_ids=item_ids, k=100)
    assert len(ids(answer)) == 34
    assert answer["degraded"][0]["why"] == "only 34 of the 100 items asked for can be shown"
    assert post(client, "similar", item_ids=item_ids, k=200)["degraded"][0]["what"] == "k"
    none = post(client, "similar", item_ids=item_ids, min_length=5000)
    assert none["playlists"] == []


def test_a_stored_a_changed_and_a_deleted_list_count_on_the_next_request(client: TestClient, served: Served) -> None:
    item_ids = list(served[2].world.successor)[:7]
    before = lists(post(client, "similar", item_ids=item_ids, k=150))
    assert len(before) == 150
    path = f"/v1/playlists/{quote('a/new ü', safe='')}"
    assert client.put(path, json={"name": "mine", "item_ids": item_ids}).status_code == 200
    nearest = post(client, "similar", item_ids=item_ids, k=1)["playlists"][0]
    assert (nearest["playlist_id"], nearest["name"], nearest["length"]) == ("a/new ü", "mine", 7)
    assert nearest["score"] == pytest.approx(1, abs=1e-5)
    for k in (1, 10):
        similar = lists(client.get(f"{path}/similar", params={"k": k}).json())
        assert similar == [
            other for other in lists(post(client, "similar", item_ids=item_ids, k=k + 1)) if other != "a/new ü"
        ]
    assert client.put(path, json={"name": "mine", "item_ids": item_ids[:1]}).status_code == 200
    changed = next(
        row for row in post(client, "similar", item_ids=item_ids, k=200)["playlists"] if row["name"] == "mine"
    )
    assert changed["length"] == 1
    assert client.delete(path).status_code == 204
    assert sorted(lists(post(client, "similar", item_ids=item_ids, k=200))) == sorted(before)


def test_lists_are_filtered_by_name_length_and_item(client: TestClient, served: Served) -> None:
    store, world = served[1], served[2].world
    item = next(iter(world.successor))
    store.put_playlist("long", "Sunset long", list(world.successor)[:20])
    assert lists(post(client, "similar", item_ids=[item], min_length=11)) == ["long"]
    assert "long" not in lists(post(client, "similar", item_ids=[item], max_length=10, k=200))
    named = post(client, "similar", item_ids=[item], name_contains="SUNSET", k=200)["playlists"]
    assert {row["name"] for row in named} == {"sunset mix", "Sunset long"}
    holding = lists(post(client, "similar", item_ids=list(world.successor)[5:9], holds=item, k=200))
    assert all(item in store.playlist(playlist_id).item_ids for playlist_id in holding)
    assert set(holding) == set(store.playlists_holding(item))


def test_an_order_that_no_encoder_keeps_is_told(client: TestClient, served: Served) -> None:
    item_ids = list(served[2].world.successor)[:3]
    assert post(client, "similar", item_ids=item_ids, order="free")["degraded"] == []
    assert post(client, "similar", item_ids=item_ids, order="sensitive")["degraded"][0]["what"] == "order"


def test_unknown_items_are_told_and_the_name_used(client: TestClient) -> None:
    answer = post(client, "similar", item_ids=["no such"], name="kitchen mix", k=5)
    assert answer["encoder"] == "names"
    assert {row["name"] for row in answer["playlists"]} == {"kitchen mix"}
    assert [row["what"] for row in answer["degraded"]] == ["items", "items"]
    degraded = post(client, "continue", item_ids=["no such"], k=3)["degraded"]
    assert degraded[1] == {"what": "items", "why": "no item of the list is known: popular items answer"}
    named = post(client, "continue", item_ids=["no such"], name="kitchen mix", k=5)
    assert named["degraded"][1]["why"] == "no item of the list is known: its name alone answers"
    assert ids(named) == ids(post(client, "continue", name="kitchen mix", k=5))


def test_a_name_of_which_nothing_is_known_is_not_said_to_answer(client: TestClient) -> None:
    answer = post(client, "continue", name="\u4e00", k=3)
    assert {item["source"] for row in answer["alternatives"] for item in row["items"]} == {"popular"}
    assert answer["degraded"] == [
        {"what": "name", "why": "nothing known of the name outweighs popularity: popular items answer"}
    ]
    assert ids(answer) == ids(post(client, "continue", name="x", encoder="popular", k=3))
    both = post(client, "continue", item_ids=["no such"], name="\u4e00", k=3)
    assert both["degraded"][1]["why"] == "no item of the list is known: popular items answer"
    assert ids(both) == ids(answer)


def test_a_source_says_what_of_the_question_it_takes_no_account_of(client: TestClient, served: Served) -> None:
    first = next(iter(served[2].world.successor))

    def reasons(**body: Any) -> dict[str, str]:
        return {row["what"]: row["why"] for row in post(client, "continue", k=3, **body)["degraded"]}

    nothing = post(client, "continue", name="sunset mix", encoder="markov", k=3)
    assert nothing["alternatives"] == []
    assert [row["what"] for row in nothing["degraded"]] == ["name", "encoder", "k", "alternatives"]
    assert nothing["degraded"][0]["why"] == "markov takes no account of the name of a list: leave encoder out"
    assert "markov has nothing to go by" in nothing["degraded"][1]["why"]
    unknown = reasons(item_ids=["no such"], encoder="markov")
    assert unknown.keys() == {"items", "encoder", "k", "alternatives"}
    assert not any("popular" in why for why in unknown.values())
    assert reasons(item_ids=[first], encoder="markov") == {}
    assert reasons(item_ids=[first], name="sunset mix", encoder="neighbours").keys() == {"name"}
    assert reasons(item_ids=[first], encoder="popular").keys() == {"items"}
    assert reasons(name="sunset mix", encoder="popular") == {
        "name": "popular takes no account of the name of a list: leave encoder out"
    }
    assert reasons(item_ids=[first], name="sunset mix", encoder="names").keys() == {"items"}
    assert reasons(item_ids=[first], encoder="names").keys() == {"items", "encoder", "k", "alternatives"}
    assert reasons(name="sunset mix", encoder="named") == {}
    assert reasons(item_ids=[first], name="sunset mix") == {}


@pytest.mark.parametrize(
    ("encoder", "order", "reasons"),
    [
        ("markov", None, []),
        ("markov", "sensitive", []),
        ("markov", "free", ["markov takes every list in its order: leave encoder out, or leave order out"]),
        ("beside", "free", []),
        ("neighbours", None, []),
        ("neighbours", "free", []),
        ("als", "sensitive", ["als takes no account of the order of a list: leave encoder out, or leave order out"]),
        ("continue", "free", []),
        ("continue", "sensitive", []),
        (None, "free", []),
    ],
)
def test_an_order_that_a_source_does_not_heed_is_told(
    client: TestClient, served: Served, encoder: str | None, order: str | None, reasons: list[str]
) -> None:
    """And what is said of the order is true: the list turned round gives the same, or not."""
    item_ids = list(served[2].world.successor)[:3]
    answer = post(client, "continue", item_ids=item_ids, encoder=encoder, order=order, k=40)
    assert [row["why"] for row in answer["degraded"] if row["what"] == "order"] == reasons
    if encoder not in (None, "continue"):
        backwards = post(client, "continue", item_ids=item_ids[::-1], encoder=encoder, order=order, k=40)
        scores = [
            {item["item_id"]: pytest.approx(item["score"], rel=1e-4) for item in row["alternatives"][0]["items"]}
            for row in (answer, backwards)
        ]
        assert (scores[0] == scores[1]) == (encoder != "markov")


def test_unknown_items_of_a_filter_are_told(client: TestClient, served: Served) -> None:
    item_ids = list(served[2].world.successor)[:2]
    without = post(client, "continue", item_ids=item_ids, k=3, exclude=["nobody"])
    assert without["degraded"][0] == {
        "what": "exclude",
        "why": "unknown items, which nothing would show anyway: nobody",
    }
    assert ids(without) == ids(post(client, "continue", item_ids=item_ids, k=3))
    holding = post(client, "similar", item_ids=item_ids, holds="nobody")
    assert holding["playlists"] == []
    assert holding["degraded"][0]["why"] == "unknown items, which no list holds: nobody"


def test_large_and_repetitive_lists_are_answered(client: TestClient, served: Served) -> None:
    item = next(iter(served[2].world.successor))
    assert item not in ids(post(client, "continue", item_ids=[item] * 500, k=5))
    assert len(lists(post(client, "similar", item_ids=[item] * 500))) == 10
    many = list(served[2].world.successor) * 250
    assert len(many) == 10_000
    assert len(ids(post(client, "continue", item_ids=many, k=5, repeats=True))) == 5
    assert len(lists(post(client, "similar", item_ids=many))) == 10


@pytest.mark.parametrize(
    ("what", "body", "says"),
    [
        ("continue", {}, "an empty list without a name"),
        ("continue", {"name": "  "}, "an empty list without a name"),
        ("similar", {"item_ids": []}, "an empty list without a name"),
        ("similar", {"item_ids": ["no such"]}, "no item of the list is known"),
        ("similar", {"item_ids": ["x"] * 10_001}, "10000"),
        ("similar", {"name": "x", "min_length": 5, "max_length": 4}, "no list can be both"),
        ("similar", {"name": "x", "encoder": "mean", "order": "sensitive"}, "is free of order"),
        ("similar", {"name": "x", "encoder": "nobody"}, "choose one of mean, weighted"),
        ("continue", {"name": "x", "encoder": "nobody"}, "choose one of"),
        ("continue", {"name": "x", "alternatives": 9}, "less than or equal to 8"),
        ("continue", {"name": "x", "strength": -1}, "greater than or equal to 0"),
        ("continue", {"item_ids": [5]}, "put the number in quotes"),
        ("continue", {"name": "x", "item_id": ["a"]}, "item_id"),
        ("continue", {"name": "x", "k": 0}, "greater than or equal to 1"),
        ("continue", {"name": "x", "same_group": "NaN"}, "same_group"),
        ("continue", {"name": "x", "order": "any"}, "'sensitive' or 'free'"),
        ("similar", {"name": "x", "min_length": -1}, "greater than or equal to 0"),
    ],
)
def test_bad_input_is_refused_with_a_way_out(client: TestClient, what: str, body: dict[str, Any], says: str) -> None:
    response = client.post(f"/v1/playlists/{what}", json=body)
    assert response.status_code == 422, response.text
    assert says in response.json()["detail"]


def test_what_validation_said_of_continuations_is_shown(client: TestClient) -> None:
    parts = {part["name"]: part for part in client.get("/v1/models").json()["lists"]}
    intervals = parts["continue"]["figures"]["validation_r_precision"]
    assert all(0 < row["low"] <= row["mean"] <= row["high"] < 1 and row["lists"] > 1 for row in intervals.values())
    assert intervals.keys() == {"0", "1", "5"}


def test_an_unknown_playlist_is_not_found(client: TestClient) -> None:
    assert client.get("/v1/playlists/nobody/similar").status_code == 404


def test_where_the_encoder_knows_nothing_of_a_list_another_answers(
    client: TestClient, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    recommender, _, planted = served
    encoder = recommender._live.snapshot.lists.encoders["weighted"]
    monkeypatch.setattr(encoder, "encode", lambda lists: np.zeros((len(lists), encoder.dim), dtype=np.float32))
    item_ids = list(planted.world.successor)[:3]
    answer = post(client, "similar", item_ids=item_ids, k=5)
    assert answer["encoder"] == "mean"
    assert answer["degraded"][0]["why"] == "weighted knows none of the items: mean answers"
    named = client.post("/v1/playlists/similar", json={"item_ids": item_ids, "encoder": "weighted"})
    assert named.status_code == 422  # it was asked for by name


def test_a_name_is_read_by_the_text_encoder_and_it_is_told_where_there_is_none(
    client: TestClient, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = served[0]._live.snapshot.texts
    assert reading is not None
    encoder, encoded = reading.encoder(), list[str]()
    assert encoder is not None
    encode = encoder.encode_documents

    class Counting:
        def encode_documents(self, texts: list[str]) -> NDArray[np.float32]:
            encoded.extend(texts)
            return encode(texts)

    monkeypatch.setattr(reading, "encoder", Counting)
    assert post(client, "continue", name="sunset mix", k=3)["degraded"] == []
    assert encoded == ["sunset mix"]
    monkeypatch.setattr(reading, "encoder", lambda: None)
    answer = post(client, "continue", name="sunset mix", k=3)
    assert answer["degraded"] == [
        {"what": "name", "why": "the text encoder of the bundle cannot be had: names are compared by their letters"}
    ]
    assert len(ids(answer)) == 3
