"""Detects the layout of a path, and which of its files have items, events or playlists."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recsys.errors import InputFileError
from recsys.importing.layouts import listenbrainz, movielens, playlists, recbole, spotify
from recsys.importing.layouts.layout import Layout
from recsys.importing.readers import READERS, Reader, suffix
from recsys.importing.report import is_report

Kind = Literal["items", "events", "playlists"]

LAYOUTS: Mapping[str, Layout] = {
    "movielens": movielens.LAYOUT,  # before RecBole, whose *.item would fit u.item too
    "recbole": recbole.LAYOUT,
    "listenbrainz": listenbrainz.LAYOUT,
    "spotify-mpd": spotify.LAYOUT,
    "jspf": playlists.JSPF,
    "m3u": playlists.M3U,
}


OWN_SUFFIXES = READERS.keys() - {".json"}
"""A file that ends like this has our own columns, unless its layout is named. JSON may be a slice of playlists."""


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A file and what reads it; `reader` is None for our own columns. `problem` says why nothing can be read at `path`, if so."""

    path: Path
    reader: Reader | None = None
    problem: str | None = None


def detect(path: Path, kind: Kind, *, layout: str | None = None) -> Iterator[ImportFile]:
    """The files of `kind` at `path`, a file or a folder. Without a name the layout is detected from the names of the files.

    Reports of rejected rows in a folder are no input.

    Raises:
        InputFileError: no such layout, or it has nothing of this kind here.
    """
    if layout is not None and layout not in LAYOUTS:
        raise InputFileError(f"unknown layout {layout!r}: choose one of {', '.join(LAYOUTS)}, or leave it out")
    has_own_columns = suffix(path) in OWN_SUFFIXES and not path.is_dir()
    names = (
        [layout] if layout else [name for name, known in LAYOUTS.items() if not has_own_columns and known.matches(path)]
    )
    if not names:
        if path.is_dir():
            raise InputFileError(f"{path} is a folder of no known layout ({', '.join(LAYOUTS)}): give its files")
        yield ImportFile(path)
        return
    files: dict[Path, Reader] = {}
    for name in names:
        for file, reader in LAYOUTS[name].files(path, kind, named=layout is not None):
            if not (path.is_dir() and is_report(file)):
                files.setdefault(file, reader)
    if not files:
        raise InputFileError(f"{path} holds no {kind} in the layout {names[0]}{LAYOUTS[names[0]].hint}")
    yield from (ImportFile(file, reader) for file, reader in files.items())
