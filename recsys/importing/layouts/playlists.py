"""Playlist files of music players: JSPF (JSON) and M3U. One file is one list; an item is identified by its location: its path, as
it resolves against the folder of the list, or its address.

Source: xspf.org/jspf; for M3U, which has no standard, the extended lines that players write (#EXTINF, #PLAYLIST).
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

from recsys.errors import InputFileError
from recsys.importing.layouts.layout import Layout, once
from recsys.importing.readers import UNDECODED, Rows
from recsys.importing.report import Row

EXTINF = re.compile(r'#EXTINF:(?:(?:[^",]|"[^"]*")*+,(.*)|[^,]*,(.*))', re.IGNORECASE)
"""The title of a track stands behind its duration and attributes, whose quoted values may hold commas."""
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://|(spotify|urn|magnet|data|cdda):", re.IGNORECASE)
DRIVE = re.compile(r"[a-z]:/", re.IGNORECASE)
"""How an absolute path of Windows begins."""
CHARS_PER_READ = 2**20


def _jspf_items(path: Path) -> Rows:
    return once(_jspf(path))


def _jspf_members(path: Path) -> Rows:
    return _members(path, _jspf_name(path), _jspf(path))


def _jspf(path: Path) -> Rows:
    """A track is identified by its identifier, or by its location where it has none."""
    tracks = _playlist(path).get("track")
    for track in tracks if isinstance(tracks, list) else ():
        if not isinstance(track, dict):
            yield ValueError(f"no track: {str(track)[:200]}")
            continue
        yield {
            "item_id": _first(track.get("identifier")) or _jspf_location(path, _first(track.get("location"))),
            "domain": "music",
            "title": track.get("title"),
            "artist": track.get("creator"),
            "album": track.get("album"),
        }


def _jspf_location(path: Path, location: Any) -> Any:
    """As `_location`, of a path that is encoded as in an address."""
    return (
        _location(path, location if ADDRESS.match(location) else unquote(location))
        if isinstance(location, str)
        else location
    )


def _jspf_name(path: Path) -> str | None:
    title = _playlist(path).get("title")
    return title if isinstance(title, str) else None


def _playlist(path: Path) -> dict[str, Any]:
    """Raises InputFileError: no JSPF."""
    try:
        playlist = json.loads(path.read_bytes())["playlist"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputFileError(f'{path} is no JSPF file (JSON with a "playlist"): {error}') from error
    if not isinstance(playlist, dict):
        raise InputFileError(f'{path} is no JSPF file: "playlist" is no object')
    return playlist


def _first(value: Any) -> Any:
    """JSPF writes one identifier as text or as a list."""
    return value[0] if isinstance(value, list) and value else value or None


def _m3u_items(path: Path) -> Rows:
    """A track has the first title that the list has for it."""
    titles: dict[str, str] = {}
    for row in _m3u(path):
        if isinstance(row, dict) and row["title"]:
            titles.setdefault(row["item_id"], row["title"])
    return once({**row, "title": titles.get(row["item_id"])} if isinstance(row, dict) else row for row in _m3u(path))


def _m3u_members(path: Path) -> Rows:
    named = (line.partition(":")[2].strip() for line in _lines(path) if line.upper().startswith("#PLAYLIST:"))
    return _members(path, next(named, None), _m3u(path))


def _m3u(path: Path) -> Rows:
    title: str | None = None
    for line in _lines(path):
        if extinf := EXTINF.match(line):
            title = (extinf[1] or extinf[2] or "").strip() or None
        elif not line.startswith("#"):
            yield {"item_id": _location(path, line), "domain": "music", "title": title}
            title = None


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding=_encoding(path), errors=UNDECODED) as file:
        yield from filter(None, map(str.strip, file))


def _encoding(path: Path) -> str:
    """UTF-8 by the ending .m3u8, and where it fits; otherwise what players write into .m3u."""
    for encoding in ("utf-8-sig", "windows-1252"):
        try:
            with path.open(encoding=encoding) as file:
                while file.read(CHARS_PER_READ):
                    pass
            return encoding
        except UnicodeDecodeError:
            if path.suffix.lower() == ".m3u8":
                return encoding
    return "latin-1"


def _location(path: Path, location: str) -> str:
    """The address of a track; of a file, its absolute path, however the list at `path` writes that."""
    if location.lower().startswith("file://"):
        location = unquote(urlsplit(location).path)
    elif ADDRESS.match(location):
        return location
    location = location.replace("\\", "/") if "/" not in location else location
    if DRIVE.match(location):
        return normalize("NFC", location)
    return _absolute(path.parent.resolve() / location)


def _absolute(path: Path) -> str:
    """Without `..` and in composed characters: macOS takes them apart in names of files."""
    return normalize("NFC", os.path.normpath(path))


def _members(path: Path, name: str | None, tracks: Rows) -> Rows:
    """The id of the list is the absolute path of its file: many lists of many folders have one name."""
    about: Row = {"playlist_id": _absolute(path.resolve()), "playlist_name": name or path.stem}
    for position, row in enumerate(tracks):
        yield row if isinstance(row, ValueError) else {**about, "position": position, "item_id": row["item_id"]}


JSPF = Layout(readers={"items": {"*.jspf": _jspf_items}, "playlists": {"*.jspf": _jspf_members}})
M3U = Layout(
    readers={
        "items": {"*.m3u8": _m3u_items, "*.m3u": _m3u_items},
        "playlists": {"*.m3u8": _m3u_members, "*.m3u": _m3u_members},
    }
)
