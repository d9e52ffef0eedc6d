"""Kinds and weights of events, as each format has them."""

import json
from pathlib import Path
from typing import Any

import pytest

from recsys.importing.files import Report, import_events
from recsys.importing.layouts.detect import detect
from recsys.importing.readers import ReadOptions
from recsys.store import Store
from recsys.store.records import ItemDraft

ITEMS = "abcdef"


def imported(store: Store, folder: Path, content: str, *, name: str = "events.csv", **more: Any) -> Report:
    """The report on a file with this content, whose items the store has."""
    store.put_items([ItemDraft(item_id=item) for item in ITEMS])
    (folder / name).write_text(content)
    (file,) = detect(folder / name, "events")
    return list(import_events(store, file.path, reader=file.reader, **more))[-1]


def signals(store: Store, user: str = "u") -> list[tuple[str, str, float]]:
    return [(event.item_id, event.kind, event.weight) for event in store.recent_events(user, limit=100)]


def ratings_csv(*ratings: Any) -> str:
    return "user_id,item_id,rating\n" + "".join(f"u,{i},{r}\n" for i, r in zip(ITEMS, ratings, strict=False))


@pytest.mark.parametrize(
    ("ratings", "stored"),
    [
        ((0, 1), [0.0, 5.0]),
        ((1, 4.5, 5), [1.0, 4.5, 5.0]),
        ((0.5, 2), [0.5, 2.0]),
        ((3, 7.0, 10), [1.5, 3.5, 5.0]),
        ((11, 50), [0.55, 2.5]),
        ((0, 0), [0.0, 0.0]),
    ],
)
def test_ratings_are_scaled_by_the_smallest_scale_with_room_for_the_largest(
    store: Store, tmp_path: Path, ratings: tuple[float, ...], stored: list[float]
) -> None:
    assert imported(store, tmp_path, ratings_csv(*ratings)).accepted == len(ratings)
    assert {kind for _, kind, _ in signals(store)} == {"rating"}
    assert [weight for *_, weight in signals(store)] == pytest.approx(stored)


@pytest.mark.parametrize("rating", ["-0.5", "100.5", "nan", "inf", "good"])
def test_a_rating_of_no_scale_is_rejected_and_changes_no_other(store: Store, tmp_path: Path, rating: str) -> None:
    report = imported(store, tmp_path, ratings_csv(4, rating, 2.5))
    assert (report.accepted, report.rejected) == (2, 1)
    assert signals(store) == [("a", "rating", 4.0), ("c", "rating", 2.5)]


def test_the_scale_is_that_of_the_whole_file(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys.importing.files.ROWS_PER_CHUNK", 2)
    assert imported(store, tmp_path, ratings_csv(2, 4, 4, 8)).accepted == 4
    assert [weight for _, _, weight in signals(store)] == [1.0, 2.0, 2.0, 4.0]
    assert imported(store, tmp_path, ratings_csv(2, 4, 4, 8)).unchanged == 4


def test_a_file_without_ratings_is_read_once(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys.importing.ratings._rating", pytest.fail)
    assert imported(store, tmp_path, "user_id,item_id,kind,weight\nu,a,cart,2\n").accepted == 1


def test_a_kind_goes_before_a_rating_which_is_said_once(store: Store, tmp_path: Path) -> None:
    rows = [
        {"user_id": "u", "item_id": "a", "kind": "purchase", "rating": 2},
        {"user_id": "u", "item_id": "b", "kind": "cart", "rating": 9, "weight": 3},
        {"user_id": "u", "item_id": "c", "rating": 4},
        {"user_id": "u", "item_id": "d", "kind": "Rating", "weight": 3},
        {"user_id": "u", "item_id": "e", "kind": "purchase", "rating": None, "weight": -1},
        {"user_id": "u", "item_id": "f", "kind": "rating"},
    ]
    report = imported(store, tmp_path, "".join(json.dumps(row) + "\n" for row in rows), name="events.jsonl")
    assert (report.accepted, report.ratings_left_out, report.reasons) == (5, 2, {"missing value": 1})
    assert signals(store) == [
        ("a", "purchase", 1.0),
        ("b", "cart", 3.0),
        ("c", "rating", 4.0),
        ("d", "Rating", 3.0),
        ("e", "purchase", -1.0),
    ]
    assert report.kinds == {"purchase": 2, "cart": 1, "rating": 1, "Rating": 1}


@pytest.mark.parametrize("weight", ["nan", "-inf", "1e999", "much"])
def test_a_weight_that_is_no_finite_number_is_rejected(store: Store, tmp_path: Path, weight: str) -> None:
    report = imported(store, tmp_path, f"user_id,item_id,weight\nu,a,{weight}\nu,b,2\n")
    assert (report.accepted, report.reasons) == (1, {"wrong type": 1})
    assert signals(store) == [("b", "view", 2.0)]


def test_a_label_of_recbole_is_a_like_or_a_dislike(store: Store, tmp_path: Path) -> None:
    labels = "user_id:token\titem_id:token\tlabel:float\nu\ta\t0\nu\tb\t1\nu\tc\t0.0\nu\td\t0.5\nu\te\t\n"
    report = imported(store, tmp_path, labels, name="x.inter")
    assert signals(store) == [("a", "dislike", 1.0), ("b", "like", 1.0), ("c", "dislike", 1.0)]
    assert report.reasons == {"wrong label": 2}


def test_a_rating_of_recbole_says_more_than_the_label_beside_it(store: Store, tmp_path: Path) -> None:
    rows = "user_id:token\titem_id:token\trating:float\tlabel:float\nu\ta\t4.5\t1\nu\tb\t\t0\n"
    imported(store, tmp_path, rows, name="x.inter")
    assert signals(store) == [("a", "rating", 4.5), ("b", "dislike", 1.0)]


def test_feedback_of_listenbrainz_likes_dislikes_or_takes_back(store: Store, tmp_path: Path) -> None:
    store.put_items([ItemDraft(item_id=item) for item in ITEMS])
    (tmp_path / "listens").mkdir()
    (tmp_path / "user.json").write_text('{"username": "u"}')
    listened = {"listened_at": 100, "track_metadata": {"mbid_mapping": {"recording_mbid": "a"}}}
    (tmp_path / "listens/1.jsonl").write_text(json.dumps(listened) + "\n")
    scores = [("a", 1), ("b", -1), ("c", 0), ("d", 2)]
    feedback = [{"recording_mbid": item, "score": score, "created": 200} for item, score in scores]
    (tmp_path / "feedback.jsonl").write_text("".join(json.dumps(row) + "\n" for row in feedback))
    reports = [list(import_events(store, file.path, reader=file.reader))[-1] for file in detect(tmp_path, "events")]
    assert sum(report.accepted for report in reports) == 4
    assert reports[-1].reasons == {"wrong score": 1}
    assert signals(store) == [("a", "listen", 1.0), ("a", "like", 1.0), ("b", "dislike", 1.0), ("c", "like", 0.0)]


def test_the_scale_of_ratings_is_said_and_may_be_given(store: Store, tmp_path: Path) -> None:
    content = "user_id,item_id,rating\nu,a,1\nu,b,1\n"
    report = imported(store, tmp_path, content)
    assert report.notes == ["ratings are taken as out of 1; --rating-scale says otherwise"]
    given = imported(store, tmp_path, content.replace("u,", "v,"), name="more.csv", options=ReadOptions(rating_scale=5))
    assert not given.notes
    assert [weight for *_, weight in signals(store, "v")] == [1.0, 1.0]
    beyond = imported(
        store, tmp_path, "user_id,item_id,rating\nw,a,7\n", name="x.csv", options=ReadOptions(rating_scale=5)
    )
    assert beyond.reasons == {"rating too high": 1}
