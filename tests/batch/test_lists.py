"""Many lists in one file: what the routes answer, row for row, whole or resumed, stored or not."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from recsys.batch import lists as batch_lists
from recsys.batch.lists import ListOptions, Progress, score_lists
from recsys.errors import InputFileError, InvalidRequest
from recsys.service import Recommender
from recsys.service.playlists.questions import ContinueOptions, SimilarOptions
from recsys.store import Store
from tests.worlds import Planted

Served = tuple[Recommender, Store, Planted]
ONWARDS, ALIKE = ContinueOptions(k=3), SimilarOptions(k=3)
STORED = 30
"""Lists: each is answered two or three times in a test."""


@pytest.fixture
def served(served: Served) -> Served:
    for playlist_id in served[1].playlist_ids(after=None, limit=1000)[STORED:]:
        served[1].delete_playlist(playlist_id)
    return served


def score(
    served: Served, out: Path, options: ListOptions, *, histories: Path | None = None
) -> tuple[pl.DataFrame, dict[str, int]]:
    """The rows, and by option of how many lists there was a warning."""
    *_, done = score_lists(served[0], served[1], out, options=options, histories=histories)
    return pl.read_csv(out) if out.suffix == ".csv" else pl.read_parquet(out), dict(done.warnings)


@pytest.fixture
def client(served: Served) -> Iterator[TestClient]:
    with TestClient(create_app(served[0])) as client:
        yield client


def over_http(
    client: TestClient, options: ListOptions, *, sent: dict[str, Any], stored: str | None
) -> list[dict[str, Any]]:
    """The rows that the routes' answer to one list makes; those of a refusal are none."""
    fields = {name: value for name, value in asdict(options).items() if value is not None}
    if isinstance(options, ContinueOptions):
        response = client.post("/v1/playlists/continue", json=sent | fields | {"exclude": list(options.exclude)})
    elif stored is not None:
        response = client.get(f"/v1/playlists/{stored}/similar", params=fields)
    else:
        response = client.post("/v1/playlists/similar", json=sent | fields)
    answer = response.json()
    if response.status_code == 422:
        return []
    assert response.status_code == 200, answer
    why = "; ".join(f"{one['what']}: {one['why']}" for one in answer["degraded"]) or None
    common = {"bundle": answer["bundle"], "degraded": why}
    if isinstance(options, ContinueOptions):
        return [
            {"alternative": i, "rank": rank, **{name: item[name] for name in ("item_id", "score", "source")}} | common
            for i, one in enumerate(answer["alternatives"], start=1)
            for rank, item in enumerate(one["items"], start=1)
        ]
    return [
        {"rank": rank, "similar_id": one["playlist_id"], "score": one["score"], "source": answer["encoder"]} | common
        for rank, one in enumerate(answer["playlists"], start=1)
    ]


def assert_like(rows: pl.DataFrame, expected: list[dict[str, Any]]) -> None:
    found = rows.drop("playlist_id").to_dicts()
    assert [one | {"score": None} for one in found] == [one | {"score": None} for one in expected]
    assert [one["score"] for one in found] == pytest.approx([one["score"] for one in expected], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ONWARDS,
        replace(ONWARDS, order="free", alternatives=3, strength=2.0, same_group=0.5),
        replace(ONWARDS, k=5, repeats=True, most_of_group=1, exclude=("item-0003", "nobody")),
        replace(ONWARDS, encoder="markov", order="free"),
        ALIKE,
        replace(ALIKE, order="sensitive", encoder=None, name_contains="SUNSET", min_length=2, max_length=10),
        replace(ALIKE, encoder="mean", holds="item-0003"),
    ],
)
def test_rows_are_what_the_routes_answer(
    served: Served, client: TestClient, tmp_path: Path, options: ListOptions
) -> None:
    store = served[1]
    store.put_playlist("empty", None, [])
    store.put_playlist("name alone", "sunset mix", [])
    rows, warnings = score(served, tmp_path / "out.parquet", options)
    counted = 0
    for playlist_id in store.playlist_ids(after=None, limit=1000):
        stored = store.playlist(playlist_id)
        sent = {"item_ids": list(stored.item_ids), "name": stored.name}
        expected = over_http(client, options, sent=sent, stored=playlist_id)
        counted += any(row["degraded"] and "k: " in row["degraded"] for row in expected)
        assert_like(rows.filter(pl.col("playlist_id") == playlist_id), expected)
    assert warnings["nothing known"] == 1
    assert warnings.get("k", 0) >= counted
    assert not list(tmp_path.glob(".*partial"))


@pytest.mark.parametrize("options", [replace(ONWARDS, alternatives=2), ALIKE])
@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_lists_of_a_file_need_not_be_stored(
    served: Served, client: TestClient, tmp_path: Path, options: ListOptions, suffix: str
) -> None:
    """With items in any order, a name alone, unknown items with a name and without one."""
    items = list(served[2].world.successor)[:3]
    frame = pl.DataFrame(
        {
            "playlist_id": ["b"] * 3 + ["a", "c", "n", "m", "m"],
            "item_id": [*items, "unknown", "unknown", None, None, items[0]],
            "position": [2, 1, 0, 0, 0, None, None, 0],
            "playlist_name": [None] * 3 + ["sunset mix", None, "kitchen mix", "sunset mix", None],
        }
    )
    path = tmp_path / f"lists.{suffix}"
    getattr(frame, {"csv": "write_csv", "parquet": "write_parquet", "jsonl": "write_ndjson"}[suffix])(path)
    rows, warnings = score(served, tmp_path / "out.parquet", options, histories=path)
    for owner, sent in (
        ("a", {"item_ids": ["unknown"], "name": "sunset mix"}),
        ("b", {"item_ids": items[::-1]}),
        ("c", {"item_ids": ["unknown"]}),
        ("m", {"item_ids": items[:1], "name": "sunset mix"}),
        ("n", {"name": "kitchen mix"}),
    ):
        mine = rows.filter(pl.col("playlist_id") == owner)
        assert_like(mine, over_http(client, options, sent=sent, stored=None))
        assert len(mine) or (owner, options) == ("c", ALIKE)
    assert warnings["items"] >= 2
    assert warnings.get("nothing known", 0) == (options == ALIKE)


@pytest.mark.slow
def test_the_ending_of_the_result_says_what_is_written(served: Served, tmp_path: Path) -> None:
    options = replace(ONWARDS, exclude=("nobody", "no one"))  # with a comma in `degraded`
    rows, _ = score(served, tmp_path / "out.parquet", options)
    written, _ = score(served, tmp_path / "out.csv", options)
    assert written.columns == rows.columns
    assert written["degraded"].to_list() == rows["degraded"].to_list()
    assert "," in written["degraded"][0]


def test_a_list_that_is_too_long_is_counted_and_the_others_are_answered(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_lists, "MAX_HISTORY", 10)
    served[1].put_playlist("long", None, list(served[2].world.successor)[:11])
    rows, warnings = score(served, tmp_path / "out.parquet", ONWARDS)
    assert warnings["too long"] == 1
    assert rows["playlist_id"].n_unique() == STORED


@pytest.mark.slow
@pytest.mark.parametrize("options", [ONWARDS, ALIKE])
def test_an_interrupted_run_goes_on_where_it_stopped(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: ListOptions
) -> None:
    monkeypatch.setattr(batch_lists, "LISTS_PER_CHUNK", 12)
    for name in ("a", "z"):  # in the first chunk and in the last
        served[1].put_playlist(name, None, [])
    (whole, warnings), out = score(served, tmp_path / "whole.parquet", options), tmp_path / "out.parquet"
    assert warnings["nothing known"] == 2
    started = score_lists(served[0], served[1], out, options=options)
    assert [next(started).lists, next(started).lists] == [12, 24]
    started.close()
    assert not out.exists()
    method = "continued" if options == ONWARDS else "similar_to"
    with patch.object(served[0].lists, method, wraps=getattr(served[0].lists, method)) as question:
        again, also = score(served, out, options)
    assert again.equals(whole)
    assert also == warnings
    assert question.call_count == STORED + 2 - 24
    started = score_lists(served[0], served[1], out, options=options)
    assert isinstance(next(started), Progress)
    started.close()
    assert set(score(served, out, replace(options, k=2))[0]["rank"]) == {1, 2}  # another question starts anew
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("playlist_id,item_id\na,b\n", "has no column 'position'"),
        ("playlist_id,item_id,position\na,,0\n", "1 rows lack a playlist_id, item_id or position"),
        ("playlist_id,item_id,position,playlist_name\na,,,\n,,,x\nb,c,,x\n", "3 rows lack a playlist_id, item_id"),
    ],
)
def test_a_file_that_lacks_something_is_refused(served: Served, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "lists.csv").write_text(content)
    with pytest.raises(InputFileError, match=message):
        score(served, tmp_path / "out.parquet", ONWARDS, histories=tmp_path / "lists.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (replace(ALIKE, k=0), "k=0"),
        (replace(ALIKE, min_length=5, max_length=4), "no list can be both"),
        (replace(ONWARDS, alternatives=9), "alternatives=9"),
        (replace(ONWARDS, strength=-1), "strength=-1"),
        (replace(ONWARDS, most_of_group=0), "most_of_group=0"),
        (replace(ONWARDS, encoder="nobody"), "choose one of"),
    ],
)
def test_what_cannot_be_is_refused(served: Served, tmp_path: Path, options: ListOptions, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        score(served, tmp_path / "out.parquet", options)
