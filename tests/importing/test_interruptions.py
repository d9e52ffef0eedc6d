"""Imports that something stops, or that run beside each other: each row lands once, and running again finishes."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection

from recsys.errors import InputFileError, StoreError
from recsys.importing import files
from recsys.importing.files import Report, import_events, import_playlists
from recsys.store import Store, playlists
from recsys.store.records import ItemDraft, Playlist
from recsys.store.sessions import upgrade
from tests.failing import full_disk
from tests.servers import FORGETFUL, Server, postgresql, quick_folder

ROWS_PER_CHUNK = 500
LONG = "k" * 300


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ROWS_PER_CHUNK", ROWS_PER_CHUNK)


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A PostgreSQL server of its own, to be hurt."""
    with postgresql(quick_folder(), settings=FORGETFUL) as running:
        upgrade(running.url)
        yield running


def put_ten(store: Store) -> None:
    store.put_items([ItemDraft(item_id=f"i{number}") for number in range(10)])


def events(folder: Path, rows: int) -> Path:
    path = folder / "e.csv"
    lines = (f"u{number % 97},i{number % 10},{number},{LONG}\n" for number in range(rows))
    path.write_text("user_id,item_id,position,kind\n" + "".join(lines))
    return path


def last(reports: Iterator[Report]) -> Report:
    *_, report = reports
    return report


def finished(store: Store, path: Path, rows: int) -> None:
    """Another run completes what an earlier one began, in the order of the file."""
    stored = store.counts().events
    assert 0 < stored < rows
    assert stored % ROWS_PER_CHUNK == 0  # never half a chunk
    report = last(import_events(store, path))
    assert (report.accepted, report.unchanged) == (rows - stored, stored)
    assert store.counts().events == rows
    history = [event.position for event in store.recent_events("u5", limit=rows)]
    assert history == list(range(5, rows, 97))


def test_a_disk_that_fills_up_on_sqlite(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    upgrade(url)
    path = events(tmp_path, 8000)
    with closing(Store.open(url)) as store:
        put_ten(store)
        with full_disk(3_000_000), pytest.raises(StoreError, match=r"first [\d,]+ rows .* import again to go on"):
            last(import_events(store, path))
        finished(store, path, 8000)


def test_a_disk_that_fills_up_under_postgresql(own_server: Server, tmp_path: Path) -> None:
    rows = 50_000  # more than the 16 MB that a file of its write-ahead log has
    path = events(tmp_path, rows)
    own_server.stop()
    with full_disk(16 * 2**20):
        own_server.start()
    with closing(Store.open(own_server.url)) as store:
        put_ten(store)
        with pytest.raises(StoreError, match="could not extend file"):
            last(import_events(store, path))
    own_server.stop()
    own_server.start()
    with closing(Store.open(own_server.url)) as store:
        finished(store, path, rows)


def test_a_database_that_goes_away_in_the_middle(own_server: Server, tmp_path: Path) -> None:
    path = events(tmp_path, 5000)
    with closing(Store.open(own_server.url)) as store:
        put_ten(store)
        reports = import_events(store, path)
        for _ in range(2):
            next(reports)
        own_server.stop()
        with pytest.raises(StoreError, match="the first 1,000 rows are dealt with: import again to go on"):
            next(reports)
        own_server.start()
        finished(store, path, 5000)


@pytest.mark.parametrize("room", [0, 20_000])
def test_a_report_of_rejected_rows_that_does_not_fit(store: Store, tmp_path: Path, room: int) -> None:
    put_ten(store)
    path = tmp_path / "e.csv"
    path.write_text("user_id,item_id\n" + "u,unknown\n" * 2000)
    with full_disk(room), pytest.raises(InputFileError, match=r"not written to .*free space, then import again"):
        last(import_events(store, path, dry_run=True, rejects=tmp_path / "r.jsonl"))
    assert [path.name for path in tmp_path.iterdir() if path.suffix in (".jsonl", ".partial")] == []
    assert last(import_events(store, path, rejects=tmp_path / "r.jsonl")).rejected == 2000
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 2000


def test_the_report_is_that_of_the_last_import(store: Store, tmp_path: Path) -> None:
    path, rejects = tmp_path / "e.csv", tmp_path / "r.jsonl"
    path.write_text("user_id,item_id\nu,i0\n")
    assert last(import_events(store, path, rejects=rejects)).rejected == 1
    assert rejects.exists()
    put_ten(store)
    assert last(import_events(store, path, rejects=rejects)).rejected == 0
    assert not rejects.exists()


def test_two_imports_of_one_file_at_once(database_url: str, tmp_path: Path) -> None:
    rows = 4000
    path = events(tmp_path, rows)
    with path.open("a") as file:
        file.write("u,unknown,1,k\n" * 3)
    reports: list[Report] = []
    together = threading.Barrier(2)

    def run() -> None:
        with closing(Store.open(database_url)) as store:
            together.wait()
            reports.append(last(import_events(store, path, rejects=tmp_path / "r.jsonl")))

    with closing(Store.open(database_url)) as store:
        put_ten(store)
        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(report.accepted for report in reports) == rows
        assert [report.accepted + report.unchanged for report in reports] == [rows, rows]
        assert store.counts().events == rows
        history = [event.position for event in store.recent_events("u5", limit=rows)]
        assert history == list(range(5, rows, 97))
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 3


def test_lists_are_all_there_or_none(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_ten(store)
    path = tmp_path / "p.csv"
    path.write_text("playlist_id,position,item_id\n" + "".join(f"p{n},{n},i{n % 10}\n" for n in range(3)))

    put_playlist = playlists.put_playlist

    def failing(connection: Connection, playlist_id: str, name: str | None, item_ids: Sequence[str]) -> Playlist:
        if playlist_id == "p2":
            raise StoreError("the database is gone")
        return put_playlist(connection, playlist_id, name, item_ids)

    monkeypatch.setattr(playlists, "put_playlist", failing)
    with pytest.raises(StoreError):
        last(import_playlists(store, path))
    assert store.counts().playlists == 0
