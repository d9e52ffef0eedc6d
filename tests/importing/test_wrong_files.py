"""A wrong file does no harm: it is refused, what it does not say stays as it is, and reports are nobody's input."""

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from recsys.errors import InputFileError
from recsys.importing import chunks
from recsys.importing.files import Report, import_events, import_items, import_playlists
from recsys.importing.layouts.detect import detect
from recsys.importing.report import Rejects, is_report
from recsys.store import Store
from recsys.store.records import ItemDraft


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def items(store: Store, path: Path, **more: Any) -> Report:
    return list(import_items(store, path, **more))[-1]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("user_id,item_id,timestamp\nu,a,1\n", "events"),
        ("event_id,item_id\ne,a\n", "events"),
        ("playlist_id,position,item_id\np,0,a\n", "playlists"),
    ],
)
def test_a_file_of_another_kind_is_refused_as_items(store: Store, tmp_path: Path, content: str, kind: str) -> None:
    path = write(tmp_path, "e.csv", content)
    with pytest.raises(InputFileError, match=f"seems to hold {kind}: recsys import {kind}; .*--allow-event-columns"):
        items(store, path)
    assert store.counts().items == 0
    assert items(store, path, allow_event_columns=True).accepted == 1


def test_a_later_row_of_another_kind_is_rejected(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path, "i.jsonl", '{"item_id": "a"}\n{"item_id": "b", "user_id": "u"}\n{"item_id": "c"}\n')
    report = items(store, path)
    assert (report.accepted, report.reasons) == (2, {"column of events": 1})


def test_new_changed_and_unchanged_items_are_told_apart(store: Store, tmp_path: Path) -> None:
    items(store, write(tmp_path, "i.csv", "item_id,title\na,A\nb,B\nc,C\n"))
    path = write(tmp_path, "i.csv", "item_id,title\na,A\nb,other\nc,C\nd,D\n,\n")
    for dry_run in (True, False):
        report = items(store, path, dry_run=dry_run)
        assert (report.accepted, report.changed, report.unchanged, report.rejected) == (2, 1, 2, 1)
    report = items(store, path)
    assert (report.accepted, report.changed, report.unchanged) == (0, 0, 4)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_an_absent_column_leaves_what_is_stored_and_an_empty_value_clears(
    store: Store, tmp_path: Path, kind: str
) -> None:
    store.put_items([ItemDraft(item_id="a", title="A", domain="films", attributes={"brand": "x", "year": "1999"})])
    content = {"csv": "item_id,brand\na,y\n", "jsonl": '{"item_id": "a", "brand": "y"}\n'}[kind]
    assert items(store, write(tmp_path, f"i.{kind}", content)).changed == 1
    stored = store.item("a")
    assert (stored.title, stored.domain, stored.attributes) == ("A", "films", {"brand": "y", "year": "1999"})
    assert items(store, write(tmp_path, f"i.{kind}", content)).unchanged == 1
    content = {"csv": "item_id,title,brand\na,,\n", "jsonl": '{"item_id": "a", "title": null, "brand": null}\n'}[kind]
    assert items(store, write(tmp_path, f"i.{kind}", content)).changed == 1
    stored = store.item("a")
    assert (stored.title, stored.domain, stored.attributes) == (None, "films", {"year": "1999"})


def test_a_deleted_item_comes_back_as_the_file_has_it(store: Store, tmp_path: Path) -> None:
    store.put_items([ItemDraft(item_id="a", title="A")])
    store.delete_item("a")
    report = items(store, write(tmp_path, "i.csv", "item_id\na\n"))
    assert (report.accepted, report.changed, store.item("a").title) == (1, 0, None)


def test_a_report_never_replaces_a_file_of_somebody(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path, "i.csv", "item_id,title\n,A\n")
    mine = write(tmp_path, "mine.jsonl", '{"file": "letter"}\n')
    for rejects in (mine, path, tmp_path, Path("/dev/null")):
        with pytest.raises(InputFileError, match="is no report of rejected rows: name another file with --rejected"):
            items(store, path, rejects=rejects)
    assert mine.read_text() == '{"file": "letter"}\n'
    rejects = write(tmp_path, "empty.jsonl", "")
    items(store, path, rejects=rejects)
    assert json.loads(rejects.read_text())["row"] == 1
    items(store, write(tmp_path, "i.csv", "item_id\na\n"), rejects=rejects)
    assert not rejects.exists()


def test_a_report_is_no_input(store: Store, tmp_path: Path) -> None:
    rejects = tmp_path / "r.jsonl"
    items(store, write(tmp_path, "i.csv", "item_id,title\n,A\n"), rejects=rejects)
    assert is_report(rejects)
    for importer in (import_items, import_events, import_playlists):
        with pytest.raises(InputFileError, match="is a report of rejected rows: mend them in the file that it names"):
            list(importer(store, rejects))


def test_a_folder_gives_the_same_however_often_it_is_imported(store: Store, tmp_path: Path) -> None:
    write(tmp_path, "user.json", '{"username": "u"}')
    listen = {"listened_at": 1700000000, "track_metadata": {"track_name": "x"}}
    write(tmp_path, "listens/2023/11.jsonl", json.dumps(listen) + "\n")
    for _ in range(17):
        for file in detect(tmp_path, "items"):
            rejects = file.path.with_name(f"{file.path.name}.rejected.jsonl")
            report = items(store, file.path, reader=file.reader, rejects=rejects)
            assert (report.accepted, report.rejected) == (0, 1)
    assert sorted(path.name for path in tmp_path.rglob("*.jsonl")) == ["11.jsonl", "11.jsonl.rejected.jsonl"]


def test_one_report_takes_the_rows_of_several_files(store: Store, tmp_path: Path) -> None:
    rejects = Rejects(tmp_path / "r.jsonl")
    for name in ("a.csv", "b.csv"):
        items(store, write(tmp_path, name, f"item_id,title\n{name},A\n,B\n"), rejects=rejects)
    rejects.close()
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [(line["file"], line["row"]) for line in lines] == [("a.csv", 2), ("b.csv", 2)]


@pytest.mark.parametrize(
    ("value", "iso"),
    [
        ("20240101", "2024-01-01T00:00:00"),
        ("2024-01-01", "2024-01-01T00:00:00"),
        ("20240101T101112", "2024-01-01T10:11:12"),
        ("20240101T101112Z", "2024-01-01T10:11:12"),
        ("20240101101112", "2024-01-01T10:11:12"),
        ("2024-01-01T10:11:12.123456789Z", "2024-01-01T10:11:12.123456"),
        ("1704103872", "2024-01-01T10:11:12"),
        ("1704103872.5", "2024-01-01T10:11:12.500000"),
        ("86400", "1970-01-02T00:00:00"),
        ("20245101", "1970-08-23T07:38:21"),  # no month 51: seconds
        ("20240231", "1970-08-23T06:17:11"),  # no such day
        ("10000000", "1970-04-26T17:46:40"),
        ("99999999", "1973-03-03T09:46:39"),
    ],
)
def test_a_date_of_eight_digits_is_a_date_and_seconds_stay_seconds(
    store: Store, tmp_path: Path, value: str, iso: str
) -> None:
    store.put_items([ItemDraft(item_id="a")])
    path = write(tmp_path, "e.csv", f"user_id,item_id,timestamp\nu,a,{value}\n")
    if value.isdigit():
        path = write(tmp_path, "e.jsonl", f'{{"user_id": "u", "item_id": "a", "timestamp": {value}}}\n')
    *_, report = import_events(store, path)
    assert report.accepted == 1
    (event,) = store.recent_events("u", limit=1)
    assert event.at == pytest.approx(datetime.fromisoformat(iso + "+00:00").timestamp(), abs=1e-6)


def test_a_file_and_its_compressed_form_are_one_source(store: Store, tmp_path: Path) -> None:
    store.put_items([ItemDraft(item_id="a")])
    path = write(tmp_path, "e.csv", "user_id,item_id\nu,a\nu,a\n")
    list(import_events(store, path))
    packed = tmp_path / "e.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    *_, report = import_events(store, packed)
    assert (report.accepted, report.unchanged) == (0, 2)


def test_rows_of_large_content_are_imported_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHARS_PER_CHUNK", 1000)
    rows = [{"item_id": "x" * 400}] * 4 + [ValueError("no row")]
    sizes = [(len(readable), len(rejected)) for readable, rejected in chunks.chunks(iter(rows), max_rows=3)]
    assert sizes == [(3, 0), (1, 1)]
    assert [len(readable) for readable, _ in chunks.chunks(iter(rows[:4]), max_rows=2)] == [2, 2]
