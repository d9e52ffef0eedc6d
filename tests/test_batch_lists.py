"""Many lists in one file: what the routes answer, row for row, whole or resumed, stored or not."""

from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from recsys import batch_lists
from recsys.batch_lists import FOUND, ListTask, Task, score_lists
from recsys.errors import InputFileError, InvalidRequest
from recsys.service import Recommender
from recsys.service.list_questions import ContinueOptions, SimilarOptions
from recsys.store import Store
from tests.worlds import Planted

Served = tuple[Recommender, Store, Planted]
TASKS: tuple[Task, ...] = ("continue", "similar-lists")


def score(served: Served, out: Path, task: Task, *, histories: Path | None = None, k: int = 3) -> pl.DataFrame:
    for _ in score_lists(served[0], served[1], out, wanted=ListTask(task=task, k=k), histories=histories):
        pass
    return pl.read_parquet(out)


@pytest.mark.parametrize("task", TASKS)
def test_rows_are_what_the_routes_answer(served: Served, tmp_path: Path, task: Task) -> None:
    recommender, store, _ = served
    store.put_playlist("empty", None, [])
    store.put_playlist("name alone", "sunset mix", [])
    rows = score(served, tmp_path / "out.parquet", task)
    assert rows["playlist_id"].n_unique() == 151
    with TestClient(create_app(recommender)) as client:
        for playlist_id in (owner for owner in store.playlist_ids(after=None, limit=1000) if owner != "empty"):
            expected = over_http(client, store, playlist_id, task)
            mine = rows.filter(pl.col("playlist_id") == playlist_id)
            assert mine["rank"].to_list() == [1, 2, 3]
            assert mine.select(FOUND[task], "source", "bundle").rows() == [one[:3] for one in expected]
            assert mine["score"].to_list() == pytest.approx([one[3] for one in expected], rel=1e-5)
    assert not list(tmp_path.glob(".*partial"))


def over_http(client: TestClient, store: Store, playlist_id: str, task: Task) -> list[tuple[str, str, str, float]]:
    """(what was found, its source, the bundle, the score) of each answer."""
    if task == "continue":
        stored = store.playlist(playlist_id)
        asked = {"item_ids": list(stored.item_ids), "name": stored.name, "k": 3}
        answer = client.post("/v1/playlists/continue", json=asked).json()
        items = answer["alternatives"][0]["items"]
        return [(one["item_id"], one["source"], answer["bundle"], one["score"]) for one in items]
    answer = client.get(f"/v1/playlists/{playlist_id}/similar?k=3").json()
    return [(one["playlist_id"], answer["encoder"], answer["bundle"], one["score"]) for one in answer["playlists"]]


@pytest.mark.parametrize("task", TASKS)
def test_lists_of_a_file_need_not_be_stored(served: Served, tmp_path: Path, task: Task) -> None:
    items = list(served[2].world.successor)[:3]
    frame = pl.DataFrame(
        {
            "playlist_id": ["b"] * 3 + ["a", "c"],
            "item_id": [*items, "unknown", "unknown"],
            "position": [2, 1, 0, 0, 0],
            "playlist_name": [None] * 3 + ["sunset mix", None],
        }
    )
    frame.write_csv(tmp_path / "lists.csv")
    rows = score(served, tmp_path / "out.parquet", task, histories=tmp_path / "lists.csv")
    lists = served[0].lists
    for owner, sent, name in (("a", ["unknown"], "sunset mix"), ("b", items[::-1], None)):
        mine = rows.filter(pl.col("playlist_id") == owner)[FOUND[task]].to_list()
        if task == "continue":
            answer = lists.continued(sent, name, ContinueOptions(k=3))
            assert mine == [item.item_id for item in answer.alternatives[0].items]
        else:
            assert mine == [one.playlist_id for one in lists.similar(sent, name, SimilarOptions(k=3)).playlists]
    assert (rows["playlist_id"] == "c").any() == (task == "continue")  # popular items answer, and no list is like it


def test_an_interrupted_run_goes_on_where_it_stopped(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_lists, "PIECE", 60)
    whole, out = score(served, tmp_path / "whole.parquet", "continue"), tmp_path / "out.parquet"
    started = score_lists(served[0], served[1], out, wanted=ListTask(task="continue", k=3))
    assert [next(started), next(started)] == [60, 120]
    started.close()
    assert not out.exists()
    with patch.object(served[0].lists, "continued", wraps=served[0].lists.continued) as asked:
        assert score(served, out, "continue").equals(whole)
    assert asked.call_count == 30
    started = score_lists(served[0], served[1], out, wanted=ListTask(task="continue", k=3))
    next(started)
    started.close()
    assert set(score(served, out, "continue", k=2)["rank"]) == {1, 2}  # another question starts anew
    assert not list(tmp_path.glob(".out*"))


def test_what_cannot_be_is_refused(served: Served, tmp_path: Path) -> None:
    (tmp_path / "lists.csv").write_text("playlist_id,item_id\na,b\n")
    with pytest.raises(InputFileError, match="has no column 'position': playlist_id, item_id and position are needed"):
        score(served, tmp_path / "out.parquet", "continue", histories=tmp_path / "lists.csv")
    with pytest.raises(InvalidRequest, match="k=0"):
        score(served, tmp_path / "out.parquet", "similar-lists", k=0)
