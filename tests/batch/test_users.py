"""Batch scoring: row for row what the service answers, whole or resumable, in bounded chunks."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest

from recsys.batch import users as batch
from recsys.batch.users import recommend_all
from recsys.errors import InputFileError, InvalidRequest
from recsys.service import MAX_HISTORY, Options, Recommender
from recsys.store import Store
from tests.failing import full_disk
from tests.worlds import Planted

Served = tuple[Recommender, Store, Planted]


TYPES = {"user_id": pl.String, "item_id": pl.String, "rank": pl.Int32, "score": pl.Float32}
READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "parquet": pl.read_parquet,
    "csv": lambda path: pl.read_csv(path, schema_overrides=TYPES),
    "CSV": lambda path: pl.read_csv(path, schema_overrides=TYPES),
    "csv.gz": lambda path: pl.read_csv(gzip.decompress(path.read_bytes()), schema_overrides=TYPES),
    "tsv": lambda path: pl.read_csv(path, separator="\t", schema_overrides=TYPES),
    "tsv.gz": lambda path: pl.read_csv(gzip.decompress(path.read_bytes()), separator="\t", schema_overrides=TYPES),
    "jsonl": lambda path: pl.read_ndjson(path, schema_overrides=TYPES),
    "jsonl.gz": lambda path: pl.read_ndjson(gzip.decompress(path.read_bytes()), schema_overrides=TYPES),
}


def score(served: Served, out: Path, **more: Any) -> pl.DataFrame:
    recommender, store, _ = served
    for _ in recommend_all(recommender, store, out, options=more.pop("options", Options(k=5)), **more):
        pass
    return READERS[out.name.partition(".")[2]](out)


def test_row_for_row_what_the_service_answers(served: Served, tmp_path: Path) -> None:
    rows = score(served, tmp_path / "out.parquet")
    assert rows.columns == ["user_id", "rank", "item_id", "score", "source", "bundle"]
    assert rows["user_id"].n_unique() == 150
    for user in ("user-0000", "user-0077", "user-0149"):
        answer = served[0].recommend(user_id=user, options=Options(k=5))
        mine = rows.filter(pl.col("user_id") == user)
        assert mine["rank"].to_list() == [1, 2, 3, 4, 5]
        assert mine["item_id"].to_list() == [item.item_id for item in answer.items]
        assert mine["source"].to_list() == [item.source for item in answer.items]
        assert mine["score"].to_list() == pytest.approx([item.score for item in answer.items], rel=1e-5)
        assert set(mine["bundle"]) == {answer.bundle}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_histories_of_a_file_need_not_be_stored(served: Served, tmp_path: Path, kind: str) -> None:
    items = list(served[2].world.successor)[:3]
    frame = pl.DataFrame({"user_id": ["007"] * 3 + ["b"], "item_id": [*items, "unknown"], "position": [2, 1, 0, 0]})
    path = tmp_path / f"histories.{kind}"
    match kind:
        case "csv":
            frame.write_csv(path)
        case "jsonl":
            frame.write_ndjson(path)
        case _:
            frame.write_parquet(path)
    rows = score(served, tmp_path / "out.parquet", histories=path)
    answer = served[0].recommend(history=items[::-1], options=Options(k=5))
    assert rows.filter(pl.col("user_id") == "007")["item_id"].to_list() == [item.item_id for item in answer.items]
    assert set(rows.filter(pl.col("user_id") == "b")["source"]) == {"popular"}


@pytest.mark.slow
def test_users_with_unknown_items_are_counted_also_of_a_run_that_goes_on(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = next(iter(served[2].world.successor))
    frame = pl.DataFrame(
        {"user_id": ["a", "a", "b", "c"], "item_id": [known, "ghost", known, "other ghost"], "position": [0, 1, 0, 0]}
    )
    frame.write_csv(path := tmp_path / "h.csv")
    monkeypatch.setattr(batch, "USERS_PER_CHUNK", 1)
    recommender, store, _ = served
    first = recommend_all(recommender, store, tmp_path / "out.parquet", options=Options(k=5), histories=path)
    assert next(first).warnings == {batch.UNKNOWN: 1}
    first.close()
    *_, last = recommend_all(recommender, store, tmp_path / "out.parquet", options=Options(k=5), histories=path)
    assert (last.users, dict(last.warnings)) == (3, {batch.UNKNOWN: 2})
    *_, stored = recommend_all(recommender, store, tmp_path / "stored.parquet", options=Options(k=5))
    assert not stored.warnings


def test_of_a_history_without_end_the_last_events_count(served: Served, tmp_path: Path) -> None:
    first, second = list(served[2].world.successor)[:2]
    long = pl.DataFrame(
        {"user_id": "u", "item_id": [first] * MAX_HISTORY + [second], "position": range(MAX_HISTORY + 1)}
    )
    long.write_parquet(tmp_path / "h.parquet")
    rows = score(served, tmp_path / "out.parquet", histories=tmp_path / "h.parquet")
    answer = served[0].recommend(history=[first] * (MAX_HISTORY - 1) + [second], options=Options(k=5))
    assert rows["item_id"].to_list() == [item.item_id for item in answer.items]


def test_an_interrupted_run_goes_on_where_it_stopped(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "USERS_PER_CHUNK", 40)
    recommender, store, _ = served
    whole = score(served, tmp_path / "whole.parquet")
    out = tmp_path / "out.parquet"
    started = recommend_all(recommender, store, out, options=Options(k=5))
    assert [next(started).users, next(started).users] == [40, 80]
    started.close()
    assert not out.exists()
    with patch.object(recommender, "rank_users", wraps=recommender.rank_users) as rank:
        assert score(served, out).equals(whole)
    assert [len(call.args[0]) for call in rank.call_args_list] == [40, 30]
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("ending", READERS)
def test_the_ending_of_the_result_says_what_is_written(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(batch, "USERS_PER_CHUNK", 80)
    whole, out = score(served, tmp_path / "whole.parquet"), tmp_path / f"out.{ending}"
    started = recommend_all(served[0], served[1], out, options=Options(k=5))
    next(started)
    started.close()
    assert not out.exists()
    assert score(served, out).equals(whole)
    assert not list(tmp_path.glob(".out*"))


def test_a_result_of_an_unknown_ending_is_refused_before_anything_is_done(served: Served, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"unknown kind '.xlsx' of result; end it in .csv, .csv.gz, .*, .parquet"):
        score(served, tmp_path / "out.xlsx")
    assert not list(tmp_path.glob(".out*"))


def test_a_result_without_rows_still_has_its_columns(served: Served, tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("user_id,item_id,position\n")
    for _ in recommend_all(served[0], served[1], tmp_path / "out.csv", options=Options(), histories=tmp_path / "h.csv"):
        pass
    assert (tmp_path / "out.csv").read_text() == "user_id,rank,item_id,score,source,bundle\n"


def test_histories_of_events_are_ordered_by_their_times(served: Served, tmp_path: Path) -> None:
    """As the importer would order them."""
    first, second, third = list(served[2].world.successor)[:3]
    path = tmp_path / "h.jsonl"
    events = [(third, "2024-01-01T00:00:02Z"), (first, 1704067200), (second, "2024-01-01T00:00:01Z")]
    path.write_text("".join(json.dumps({"user_id": 7, "item_id": item, "at": at}) + "\n" for item, at in events))
    rows = score(served, tmp_path / "out.parquet", histories=path)
    answer = served[0].recommend(history=[first, second, third], options=Options(k=5))
    assert rows.filter(pl.col("user_id") == "7")["item_id"].to_list() == [item.item_id for item in answer.items]


@pytest.mark.parametrize("content", ["u\0,a,1\n", "u,a,1,2\n", "u,a,1e400\n", f"{'u' * 600},a,1\n"])
def test_rows_that_cannot_be_read_are_counted_with_the_first(served: Served, tmp_path: Path, content: str) -> None:
    (tmp_path / "h.csv").write_text("user_id,item_id,position\nu,a,1\n" + content)
    with pytest.raises(InputFileError, match="1 rows lack a user_id, item_id or position, first row 2: "):
        score(served, tmp_path / "out.parquet", histories=tmp_path / "h.csv")


def test_a_run_with_other_options_starts_anew(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "USERS_PER_CHUNK", 40)
    started = recommend_all(served[0], served[1], tmp_path / "out.parquet", options=Options(k=5))
    next(started)
    started.close()
    rows = score(served, tmp_path / "out.parquet", options=Options(k=3))
    assert set(rows["rank"]) == {1, 2, 3}


def test_a_damaged_note_starts_anew(served: Served, tmp_path: Path) -> None:
    folder = tmp_path / ".out.parquet.partial"
    folder.mkdir()
    (folder / "run.json").write_text("{")
    assert score(served, tmp_path / "out.parquet")["user_id"].n_unique() == 150


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("h.csv", "user_id,item_id\na,b\n", "has no column 'position'"),
        ("h.pdf", "x", "unknown kind '.pdf'"),
        ("h.parquet", "no parquet", "h.parquet"),
        ("h.csv", "user_id,item_id,position\na,b,first\n", "1 rows lack a user_id, item_id or position, first row 1:"),
        (
            "h.csv",
            "user_id,item_id,position\na,b,1\na,,2\nb,c,\n",
            "2 rows lack a user_id, item_id or position, first row 2: missing value: item_id; mend them or take them out",
        ),
    ],
)
def test_a_bad_file_is_refused(served: Served, tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputFileError, match=message):
        score(served, tmp_path / "out.parquet", histories=tmp_path / name)


def test_a_missing_file_and_bad_options_are_refused(served: Served, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        score(served, tmp_path / "out.parquet", histories=tmp_path / "none.csv")
    with pytest.raises(InvalidRequest, match="k=0"):
        score(served, tmp_path / "out.parquet", options=Options(k=0))


def test_the_note_tells_how_far_it_went(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "USERS_PER_CHUNK", 40)
    started = recommend_all(served[0], served[1], tmp_path / "out.parquet", options=Options())
    next(started)
    note = json.loads((tmp_path / ".out.parquet.partial" / "run.json").read_text())
    assert (note["done"], note["chunks"], note["last"]) == (40, 1, "user-0039")


@pytest.mark.parametrize("room", [0, 1000])
def test_a_disk_that_fills_up_leaves_no_file_and_the_run_goes_on_later(
    served: Served, tmp_path: Path, room: int
) -> None:
    whole = score(served, tmp_path / "whole.parquet")
    out = tmp_path / "out.parquet"
    with full_disk(room), pytest.raises(InputFileError, match=r"not written: .*free space .*then run again"):
        score(served, out)
    assert not out.exists()
    assert score(served, out).equals(whole)
    assert not list(tmp_path.glob(".out*"))
