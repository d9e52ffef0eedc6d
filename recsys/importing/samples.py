"""The sample data of the quickstart: two wheels from the package index, checked, and read without being installed.

MovieLens-100K comes with RecBole, 92 Grateful Dead set lists with a plugin for beets. Neither is part of this project.
"""

import csv
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recsys.errors import InputFileError


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """One wheel of the package index; `terms` say what its data may be used for."""

    package: str
    version: str
    sha256: str
    terms: str

    @property
    def file(self) -> str:
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"


FILMS = Wheel(
    package="recbole",
    version="1.2.1",
    sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
    terms="MovieLens-100K, GroupLens Research: for research, neither redistribution nor commercial use without permission "
    "(files.grouplens.org/datasets/movielens/ml-100k-README.txt; cite Harper and Konstan 2015, doi:10.1145/2827872). "
    "The package itself is under the MIT licence.",
)
SHOWS = Wheel(
    package="beets-gdplaylists",
    version="0.2.20",
    sha256="c7f40521e8bbbb8d03b9d7cd39e8ae3852b32801aae26ec4aa1c91a28ba77903",
    terms="Grateful Dead set lists, under the MIT licence.",
)
FILMS_PREFIX = "recbole/dataset_example/ml-100k/ml-100k"
SHOWS_PREFIX = "beetsplug/gdplaylists/playlists/"
SHELF = "GOGD - "
"""What the plugin puts before the name of each of its lists."""
ARTICLE = re.compile(r"([^()]+?), (The|A|An|La|Le|Les|L'|Das|Der|Det|Die|Il|O)(?= \(|\)|$)")
"""An article put behind its title, also in a second title in brackets."""
SEGUE = re.compile(r"\s*>.*")
"""The song runs into the next one; what follows are notes."""
NOTE = re.compile(r"\s*\([^)]*\d{2,4}[^)]*\)")
"""Dates and venues behind a song's title; brackets without a number belong to the title."""
PLAIN = str.maketrans("\u2018\u2019\u2010", "''-")


@dataclass(frozen=True, slots=True)
class Files:
    """Files in the layouts that `recsys import` reads."""

    items: tuple[Path, ...]
    events: tuple[Path, ...]
    playlists: tuple[Path, ...]


def fetch(folder: Path) -> Iterator[str]:
    """Downloads what `folder` lacks, checks it, and yields what was done and the terms of the data.

    A file that is not what it should be is removed.

    Raises:
        InputFileError: a download fails, or a file is not what it should be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for wheel in (FILMS, SHOWS):
        path = folder / wheel.file
        done = "is there" if path.exists() else "fetched"
        if not path.exists():
            _download(wheel, path)
        if not _is_right(wheel, path):
            path.unlink()
            raise InputFileError(
                f"{path} was damaged or another file (its SHA-256 was not {wheel.sha256}) and is removed: run "
                f"`recsys fetch-samples` again; if that does not help, look at the package index in pip's settings"
            )
        yield f"{path} {done}. {wheel.terms}"


def check(folder: Path) -> None:
    """Raises InputFileError: a wheel is missing or not what it should be."""
    for wheel in (FILMS, SHOWS):
        _check(wheel, folder / wheel.file)


def write_files(folder: Path) -> Files:
    """Writes the data of the wheels in `folder` as CSV files into its folder `samples`.

    MovieLens times have many ties; the order of the file decides among them, as `position`.

    Raises:
        InputFileError: a wheel is missing or not what it should be.
    """
    check(folder)
    out = folder / "samples"
    out.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / FILMS.file) as wheel:
        films = _write(out / "films.csv", _films(wheel))
        ratings = _write(out / "ratings.csv", _ratings(wheel))
    with zipfile.ZipFile(folder / SHOWS.file) as wheel:
        lists = list(_shows(wheel))
    songs = {row["item_id"]: {"item_id": row["item_id"], "domain": "songs", "title": row["title"]} for row in lists}
    artist = {"artist": "Grateful Dead"}
    return Files(
        items=(films, _write(out / "songs.csv", ({**song, **artist} for song in songs.values()))),
        events=(ratings,),
        playlists=(_write(out / "shows.csv", ({k: v for k, v in row.items() if k != "title"} for row in lists)),),
    )


def _download(wheel: Wheel, path: Path) -> None:
    """Fetches the wheel; it appears at `path` whole, whatever interrupts this."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetching-") as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--disable-pip-version-check", "--dest", temporary, f"{wheel.package}=={wheel.version}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise InputFileError(
                f"{wheel.package}=={wheel.version} could not be fetched ({(errors or [done.stderr])[-1].strip()}): look at "
                f"the network and at pip's settings, or put {wheel.file} into {path.parent} yourself"
            )
        (fetched,) = Path(temporary).iterdir()
        fetched.replace(path)


def _check(wheel: Wheel, path: Path) -> None:
    if not path.exists():
        raise InputFileError(f"{path} is missing: run `recsys fetch-samples`")
    if not _is_right(wheel, path):
        raise InputFileError(
            f"{path} is damaged or another file: its SHA-256 is not {wheel.sha256}; delete it and run `recsys fetch-samples`"
        )


def _is_right(wheel: Wheel, path: Path) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() == wheel.sha256


def _films(wheel: zipfile.ZipFile) -> Iterator[dict[str, Any]]:
    for item_id, title, year, genres in _atomic(wheel, f"{FILMS_PREFIX}.item"):
        known = year if year.isdecimal() else ""  # two films have no year
        yield {"item_id": item_id, "domain": "films", "title": _display_title(title), "year": known, "genres": genres}


def _ratings(wheel: zipfile.ZipFile) -> Iterator[dict[str, Any]]:
    for position, (user, item, rating, timestamp) in enumerate(_atomic(wheel, f"{FILMS_PREFIX}.inter")):
        yield {"user_id": user, "item_id": item, "timestamp": timestamp, "position": position, "rating": rating}


def _shows(wheel: zipfile.ZipFile) -> Iterator[dict[str, Any]]:
    for name in sorted(name for name in wheel.namelist() if name.startswith(SHOWS_PREFIX) and name.endswith(".yml")):
        show = yaml.safe_load(wheel.read(name))
        about = {
            "playlist_id": name.removeprefix(SHOWS_PREFIX).removesuffix(".yml"),
            "playlist_name": show["title"].removeprefix(SHELF),
        }
        for position, track in enumerate(show["tracks"]):
            title = _song(track["title"])
            yield {**about, "position": position, "item_id": f"song-{_slug(title)}", "title": title}


def _atomic(wheel: zipfile.ZipFile, name: str) -> Iterator[list[str]]:
    """Rows of one of RecBole's atomic files, without the header."""
    lines = wheel.read(name).decode("utf-8").splitlines()
    return csv.reader(lines[1:], delimiter="\t", quoting=csv.QUOTE_NONE)


def _display_title(title: str) -> str:
    """`Promise, The (Versprechen, Das)` as people write it: `The Promise (Das Versprechen)`."""
    return ARTICLE.sub(r"\2 \1", title).replace("L' ", "L'")


def _song(title: str) -> str:
    """The title without segue marks, dates and venues."""
    plain = unicodedata.normalize("NFKC", title).translate(PLAIN)
    return SEGUE.sub("", NOTE.sub("", plain)).strip()


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """The rows as CSV; the file appears whole, though another process writes it at the same time."""
    written: Sequence[dict[str, Any]] = list(rows)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(written[0]))
        writer.writeheader()
        writer.writerows(written)
    partial.replace(path)
    return path
