"""The sample data: checked, complete, and in the order of its files."""

import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys.errors import InputFileError
from recsys.importing.samples import FILMS, SHOWS, Files, fetch, write_files
from recsys.settings import Settings

FOLDER = Path(__file__).parent.parent.parent / Settings().data
"""Where `make setup` left the wheels."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("samples")
    for wheel in (FILMS, SHOWS):
        (folder / wheel.file).symlink_to(FOLDER / wheel.file)
    return write_files(folder)


def read(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False)


def test_all_of_movielens_is_there(files: Files) -> None:
    films, ratings = read(files.items[0]), read(files.events[0])
    assert (films.height, ratings.height, ratings["user_id"].n_unique()) == (1682, 100_000, 943)
    titles = dict(films.select("item_id", "title").iter_rows())
    assert titles["1"] == "Toy Story"
    assert titles["172"] == "The Empire Strikes Back"
    assert films["year"].null_count() == 2
    assert set(ratings["item_id"]) <= set(titles)


def test_events_of_equal_times_keep_the_order_of_the_file(files: Files) -> None:
    positions = read(files.events[0])["position"].cast(pl.Int64)
    assert positions.to_list() == list(range(100_000))


def test_all_set_lists_are_there_and_songs_are_folded(files: Files) -> None:
    songs, shows = read(files.items[1]), read(files.playlists[0])
    assert shows["playlist_id"].n_unique() == 92
    assert set(shows["item_id"]) == set(songs["item_id"])
    assert songs["item_id"].is_unique().all()
    assert shows["item_id"].value_counts()["count"].max() > 20  # type: ignore[operator]
    assert not any(title.endswith((">", "→")) for title in songs["title"])


def test_a_right_file_is_not_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("fetched"))
    said = list(fetch(FOLDER))
    assert "GroupLens" in said[0]
    assert "MIT" in said[1]


def test_a_wrong_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILMS.file).write_bytes(b"something else")
    with pytest.raises(InputFileError, match="delete it and run `recsys fetch-samples`"):
        list(fetch(tmp_path))
    with pytest.raises(InputFileError, match="SHA-256"):
        write_files(tmp_path)


def test_a_download_that_fails_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[-1] == "recbole==1.2.1"
        return subprocess.CompletedProcess(command, 1, stdout="", stderr="noise\nERROR: No matching distribution\n")

    monkeypatch.setattr(subprocess, "run", failing)
    with pytest.raises(InputFileError, match=r"No matching distribution.*put recbole-1.2.1-py3-none-any.whl into"):
        list(fetch(tmp_path))


def test_missing_wheels_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="run `recsys fetch-samples`"):
        write_files(tmp_path)
