"""Files into the store: good rows land, bad ones are named, and a second run changes nothing. On both databases."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys.errors import InputFileError
from recsys.importing import files
from recsys.importing.fields import content
from recsys.importing.files import Report, import_events, import_items, import_playlists
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.store.sessions import upgrade

Importer = Callable[..., Iterator[Report]]


def run(importer: Importer, store: Store, path: Path, **more: Any) -> Report:
    return list(importer(store, path, **more))[-1]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def save(frame: pl.DataFrame, folder: Path, kind: str) -> Path:
    path = folder / f"file.{kind}"
    match kind:
        case "csv":
            frame.write_csv(path)
        case "jsonl":
            frame.write_ndjson(path)
        case _:
            frame.write_parquet(path)
    return path


def put_items(store: Store, *item_ids: str) -> None:
    store.put_items([ItemDraft(item_id=item_id) for item_id in item_ids])


def history(store: Store, user: str) -> list[tuple[str, float | None]]:
    return [(event.item_id, event.at) for event in store.recent_events(user, limit=100)]


# What lands


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_items_with_attributes(store: Store, tmp_path: Path, kind: str) -> None:
    frame = pl.DataFrame(
        {"item_id": ["007", "a/b"], "title": ["Bond, James", None], "domain": ["films", None], "brand": ["EON", None]}
    )
    report = run(import_items, store, save(frame, tmp_path, kind))
    assert (report.accepted, report.unchanged, report.rejected) == (2, 0, 0)
    bond = store.item("007")
    assert (bond.title, bond.domain, bond.attributes) == ("Bond, James", "films", {"brand": "EON"})
    assert store.item("a/b").attributes == {}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_events_in_their_order(store: Store, tmp_path: Path, kind: str) -> None:
    put_items(store, "a", "b", "c")
    frame = pl.DataFrame({"user_id": ["1"] * 3, "item_id": ["c", "a", "b"], "position": [3, 1, 2]})
    report = run(import_events, store, save(frame, tmp_path, kind))
    assert report.accepted == 3
    assert history(store, "1") == [("a", None), ("b", None), ("c", None)]  # imported without a time: undated


def test_times_are_epoch_seconds_or_iso(store: Store, tmp_path: Path) -> None:
    put_items(store, *"abcd")
    content = "user_id,item_id,at\nu,a,86400\nu,b,1970-01-02T00:00:01Z\nu,c,1970-01-02T01:00:02+01:00\nu,d,86403.5\n"
    run(import_events, store, write(tmp_path, "e.csv", content))
    assert history(store, "u") == [("a", 86400), ("b", 86401), ("c", 86402), ("d", 86403.5)]


def test_playlists_are_ordered_by_position(store: Store, tmp_path: Path) -> None:
    put_items(store, "a", "b")
    content = "playlist_id,position,item_id,playlist_name\np,2,a,Mine\np,0,b,Mine\np,1,b,Mine\n"
    for _ in range(2):
        report = run(import_playlists, store, write(tmp_path, "p.csv", content))
    assert (report.accepted, report.unchanged, report.rejected) == (0, 3, 0)  # the second run changes nothing
    assert store.playlist("p").item_ids == ("b", "b", "a")
    assert store.playlist("p").name == "Mine"
    content = content.replace("0,b", "0,a") + "q,0,a,7\nq,0,b,7\n"
    report = run(import_playlists, store, write(tmp_path, "p.csv", content), dry_run=True)
    assert (report.accepted, report.unchanged) == (5, 0)
    assert store.playlist("p").item_ids == ("b", "b", "a")
    run(import_playlists, store, write(tmp_path, "p.csv", content))
    assert store.playlist("p").item_ids == ("a", "b", "a")
    assert store.playlist("q").item_ids == ("a", "b")  # at one position: in the order of the file


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_availability_is_a_column_of_items(store: Store, tmp_path: Path, kind: str) -> None:
    store.put_items([ItemDraft(item_id="d", available=False)])
    frame = pl.DataFrame({"item_id": list("abcd"), "available": [True, False, None, None]})
    report = run(import_items, store, save(frame, tmp_path, kind))
    assert (report.accepted, report.unchanged, report.rejected) == (3, 1, 0)
    assert [store.item(item_id).available for item_id in "abcd"] == [True, False, True, False]
    assert store.item("a").attributes == {}


@pytest.mark.parametrize(
    ("value", "available"),
    [
        *(("true", True), ("TRUE", True), ("1", True), ("Yes", True), ('" yes "', True)),
        *(("false", False), ("False", False), ("0", False), ("no", False), ("", None), (" ", None)),
    ],
)
def test_words_for_available(store: Store, tmp_path: Path, value: str, available: bool | None) -> None:
    for before in (True, False):
        store.put_items([ItemDraft(item_id="a", available=before)])
        report = run(import_items, store, write(tmp_path, "items.csv", f"item_id,available\na,{value}\n"))
        assert report.rejected == 0
        assert report.accepted == (available is not None and available is not before)
        assert store.item("a").available is (before if available is None else available)


def test_numbers_for_available_and_nothing_else(store: Store, tmp_path: Path) -> None:
    values = [1, 0, 1.0, 0.0, "yes", 2, -1, 0.5, "sold out", "on", [], {}, [True], "NaN"]
    rows = [{"item_id": str(number), "available": value} for number, value in enumerate(values)]
    path = write(tmp_path, "items.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    report = run(import_items, store, path, rejects=tmp_path / "rejected.jsonl")
    assert [item.available for page in store.items() for item in page] == [True, False, True, False, True]
    assert report.reasons == {"wrong type": 9}
    reasons = [json.loads(line)["reason"] for line in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    assert reasons[3].endswith("available='sold out' is neither true nor false; give true, false, 1, 0, yes or no")


# Again


def test_a_second_run_changes_nothing(store: Store, tmp_path: Path) -> None:
    items = write(tmp_path, "items.csv", "item_id,title\na,A\nb,B\n")
    events = write(tmp_path, "e.csv", "user_id,item_id\nu,a\nu,a\nu,b\n")
    run(import_items, store, items)
    run(import_events, store, events)
    before = history(store, "u")
    report = run(import_items, store, items)
    assert (report.accepted, report.unchanged) == (0, 2)
    report = run(import_events, store, events)
    assert (report.accepted, report.unchanged) == (0, 3)
    assert history(store, "u") == before == [("a", None), ("a", None), ("b", None)]


def test_a_file_that_grew_adds_its_new_rows(store: Store, tmp_path: Path) -> None:
    put_items(store, "a")
    run(import_events, store, write(tmp_path, "e.csv", "user_id,item_id\nu,a\n"))
    report = run(import_events, store, write(tmp_path, "e.csv", "user_id,item_id\nu,a\nu,a\nv,a\n"))
    assert (report.accepted, report.unchanged) == (2, 1)


@pytest.mark.slow
def test_a_killed_import_is_finished_by_running_it_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/killed.db"
    upgrade(url)
    store = Store.open(url)
    put_items(store, *map(str, range(100)))
    rows = (f"u{number % 500},{number % 100},{number}\n" for number in range(60_000))
    path = write(tmp_path, "e.csv", "user_id,item_id,position\n" + "".join(rows))
    script = (
        f"from pathlib import Path\nfrom recsys.importing import files\nfrom recsys.store import Store\n"
        f"files.ROWS_PER_CHUNK = 1000\n"
        f"for _ in files.import_events(Store.open({url!r}), Path({str(path)!r})): pass"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    while not store.counts().events:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < store.counts().events < 60_000
    report = run(import_events, store, path)
    assert report.accepted + report.unchanged == 60_000
    assert store.counts().events == 60_000
    assert [item for item, _ in history(store, "u3")] == [str(n % 100) for n in range(3, 60_000, 500)][-100:]
    store.close()


def test_a_dry_run_reports_the_same_and_writes_nothing(store: Store, tmp_path: Path) -> None:
    put_items(store, "a")
    path = write(tmp_path, "e.csv", "user_id,item_id\nu,a\nu,zzz\n")
    report = run(import_events, store, path, dry_run=True)
    assert (report.accepted, report.rejected) == (1, 1)
    assert store.counts().events == 0


def test_rows_are_imported_a_chunk_at_a_time(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ROWS_PER_CHUNK", 10)
    path = write(tmp_path, "items.csv", "item_id\n" + "".join(f"i{number}\n" for number in range(95)))
    reports = [report.accepted for report in import_items(store, path)]
    assert reports == [*range(10, 100, 10), 95]


# Bad rows

LATER = (datetime.now(UTC) + timedelta(days=30)).isoformat()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"user_id": "u", "item_id": "zzz"}, "unknown item: 'zzz'"),
        ({"user_id": "u"}, "missing value: item_id"),
        ({"user_id": "", "item_id": "a"}, "missing value: user_id"),
        ({"user_id": 7, "item_id": "a"}, "id is no string: user_id=7"),
        ({"user_id": "u", "item_id": "a", "at": "yesterday"}, "wrong time: 'yesterday'"),
        ({"user_id": "u", "item_id": "a", "at": LATER}, "time in the future"),
        ({"user_id": "u", "item_id": "a", "timestamp": 1700000000000}, "are these milliseconds"),
        ({"user_id": "u", "item_id": "a", "timestamp": True}, "wrong time: True"),
        ({"user_id": "u", "item_id": "a", "timestamp": -1e300}, "before the year 1"),
        ({"user_id": "u", "item_id": "a", "timestamp": 10**400}, "neither epoch seconds nor ISO 8601"),
        ({"user_id": "u", "item_id": "a", "position": 10**400}, "is no number"),
        ({"user_id": "u", "item_id": "a", "timestamp": float("nan")}, "wrong time"),
        ({"user_id": "u", "item_id": "a", "position": "first"}, "wrong type: position='first'"),
        ({"user_id": "u", "item_id": "a", "position": 1.5}, "no whole number"),
        ({"user_id": "u", "item_id": "a", "rating": "good"}, "wrong type: rating='good'"),
        ({"user_id": "u", "item_id": "a", "event_id": "good"}, "duplicate event_id: 'good'"),
        ({"user_id": "u\0", "item_id": "a"}, "null character"),
        ({"user_id": "x" * 600, "item_id": "a"}, "longer than"),
    ],
)
def test_a_bad_event_is_named_and_the_good_ones_land(
    store: Store, tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    put_items(store, "a")
    good = [{"user_id": "u", "item_id": "a", "event_id": "good"}, {"user_id": "u", "item_id": "a", "event_id": "last"}]
    lines = [json.dumps(line) for line in (good[0], row, good[1])]
    path = write(tmp_path, "e.jsonl", "\n".join(lines) + "\n")
    rejects = tmp_path / "rejects.jsonl"
    report = run(import_events, store, path, rejects=rejects)
    assert (report.accepted, report.rejected) == (2, 1)
    rejected = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [row["row"] for row in rejected] == [2]
    assert reason in rejected[0]["reason"]


def test_bad_items_are_named(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path, "items.csv", "item_id,title\na,A\na,again\n,none\nb,B\n")
    report = run(import_items, store, path, rejects=tmp_path / "r.jsonl")
    assert (report.accepted, report.rejected) == (2, 2)
    assert report.reasons == {"duplicate item_id": 1, "missing value": 1}
    assert store.item("a").title == "A"


def test_attributes_are_stored_as_json_that_any_database_holds(store: Store, tmp_path: Path) -> None:
    lines = [
        '{"item_id": "a", "sizes": [1, NaN, {"x\\u0000": -Infinity, "y": "\\u0000z"}]}',
        '{"item_id": "b", "deep": %s}',
    ]
    path = write(tmp_path, "items.jsonl", "\n".join(lines) % ("[" * 20 + "]" * 20) + "\n")
    report = run(import_items, store, path)
    assert (report.accepted, report.reasons) == (1, {"nested too deep": 1})
    assert store.item("a").attributes == {"sizes": [1, None, {"x": None, "y": "z"}]}


def test_a_row_that_is_deeper_than_python_can_go_is_refused_like_any_other() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deep"):
        content({"item_id": "a", "deep": deep})


def test_broken_lines_of_jsonl_are_rejected_one_by_one(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path, "items.jsonl", '{"item_id": "a"}\n{"item_id": \n[1]\n\n{"item_id": "b"}\n')
    report = run(import_items, store, path)
    assert (report.accepted, report.rejected) == (2, 2)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("i.csv", b"item_id,title\na,A\nx,\xff\xfe\nb,B\n", "broken encoding"),
        ("i.jsonl", b'{"item_id": "a"}\n{"item_id": "x\xff"}\n{"item_id": "b"}\n', "broken encoding"),
        ("i.jsonl", b'{"item_id": "a"}\n{"item_id": "\\ud800"}\n{"item_id": "b"}\n', "broken encoding"),
        ("i.jsonl", b'{"item_id": "a"}\n' + b"[" * 5000 + b'\n{"item_id": "b"}\n', "no JSON object"),
        ("i.csv", b"item_id,title\na,A\nx,Bond, James\nb,B\n", "more values than columns"),
        ("i.csv", b'item_id,title\na,A\nx,"X"Y\nb,B\n', "no CSV"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_the_good_ones_land(
    store: Store, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    report = run(import_items, store, write(tmp_path, name, content), rejects=tmp_path / "r.jsonl")
    assert (report.accepted, report.rejected) == (2, 1)
    (rejected,) = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rejected["row"] == 2
    assert reason in rejected["reason"]
    assert {store.item("a").active, store.item("b").active} == {True}


def test_an_event_stored_with_other_content_is_rejected_and_kept(store: Store, tmp_path: Path) -> None:
    put_items(store, "a", "b")
    run(import_events, store, write(tmp_path, "e.csv", "event_id,user_id,item_id\ne1,u,a\n"))
    report = run(import_events, store, write(tmp_path, "f.csv", "event_id,user_id,item_id\ne1,u,b\ne2,u,b\n"))
    assert (report.accepted, report.rejected) == (1, 1)
    assert "stored with other content" in next(iter(report.reasons))
    assert [item for item, _ in history(store, "u")] == ["a", "b"]


# Bad files


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.csv", "user,item_id\nu,a\n", "has no column 'user_id'; it has 'user', 'item_id'"),
        ("e.csv", 'user_id,item_id\nu,a\nu,"a\nu,a\n', "row 2 opens a quote that nothing closes"),
        ("e.csv", 'user_id,item_id\nu,a\nu,"a' + "\nu,a" * 50_000, "row 2 opens a quote that nothing closes"),
        ("e.csv", "", "is empty"),
        ("e.jsonl", "", "is empty"),
        ("e.doc", "x", r"unknown kind '.doc'; give CSV \(.csv, .tsv, .txt\), JSON"),
        ("e.xlsx", "x", "is no XLSX workbook, or damaged"),
        ("e.parquet.gz", "x", "unpack it first"),
        ("e.parquet", "no parquet", "is no Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    store: Store, tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(InputFileError, match=message):
        run(import_events, store, write(tmp_path, name, content))


def test_a_missing_file_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        run(import_items, store, tmp_path / "none.csv")


def test_a_header_alone_is_said_to_be_empty(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="has no rows"):
        run(import_items, store, write(tmp_path, "items.csv", "item_id,title\n"))
