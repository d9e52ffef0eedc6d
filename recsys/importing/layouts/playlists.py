"""Playlist files of music players: JSPF (JSON) and M3U. One file is one list; an item is identified by its location.

Source: xspf.org/jspf; for M3U, which has no standard, the extended lines that players write (#EXTINF, #PLAYLIST).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recsys.errors import InputFileError
from recsys.importing.layouts.layout import Layout
from recsys.importing.readers import UNDECODED, Rows
from recsys.importing.report import Row

EXTINF = re.compile(r"#EXTINF:\s*-?[\d.][^,]*,(.*)")


def _jspf_items(path: Path) -> Rows:
    return _once(_jspf(path))


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
            "item_id": _first(track.get("identifier")) or _first(track.get("location")),
            "domain": "music",
            "title": track.get("title"),
            "artist": track.get("creator"),
            "album": track.get("album"),
        }


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
    return _once(_m3u(path))


def _m3u_members(path: Path) -> Rows:
    named = (line.partition(":")[2].strip() for line in _lines(path) if line.upper().startswith("#PLAYLIST:"))
    return _members(path, next(named, None), _m3u(path))


def _m3u(path: Path) -> Rows:
    title: str | None = None
    for line in _lines(path):
        if extinf := EXTINF.match(line):
            title = extinf[1].strip() or None
        elif not line.startswith("#"):
            yield {"item_id": line, "domain": "music", "title": title}
            title = None


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig", errors=UNDECODED) as file:
        yield from filter(None, map(str.strip, file))


def _once(tracks: Rows) -> Rows:
    """Each track the first time it occurs."""
    seen: set[str] = set()
    for row in tracks:
        if isinstance(row, ValueError) or not isinstance(item_id := row["item_id"], str):
            yield row
        elif item_id not in seen:
            seen.add(item_id)
            yield row


def _members(path: Path, name: str | None, tracks: Rows) -> Rows:
    """The id of the list is the name of its file."""
    about: Row = {"playlist_id": path.stem, "playlist_name": name or path.stem}
    for position, row in enumerate(tracks):
        yield row if isinstance(row, ValueError) else {**about, "position": position, "item_id": row["item_id"]}


JSPF = Layout(readers={"items": {"*.jspf": _jspf_items}, "playlists": {"*.jspf": _jspf_members}})
M3U = Layout(
    readers={
        "items": {"*.m3u8": _m3u_items, "*.m3u": _m3u_items},
        "playlists": {"*.m3u8": _m3u_members, "*.m3u": _m3u_members},
    }
)
