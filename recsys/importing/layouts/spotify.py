"""Slices of Spotify's Million Playlist Dataset: `mpd.slice.0-999.json` and its like, a thousand playlists each.

Source: Chen et al., RecSys Challenge 2018, doi:10.1145/3240323.3240342, and the README of the data set.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recsys.errors import InputFileError
from recsys.importing.layouts.layout import Layout, once
from recsys.importing.readers import Rows
from recsys.importing.report import Row

TRACK = ("track_uri", "track_name", "artist_name", "album_name")


def _items(path: Path) -> Rows:
    """Each track once."""
    tracks = (track for playlist in _playlists(path) for track in _tracks(playlist))
    return once(track if isinstance(track, ValueError) else _item(track) for track in tracks)


def _item(track: Row) -> Row:
    item_id, title, artist, album = (track.get(name) for name in TRACK)
    return {"item_id": item_id, "domain": "music", "title": title, "artist": artist, "album": album}


def _members(path: Path) -> Rows:
    for playlist in _playlists(path):
        pid = playlist.get("pid")
        for index, track in enumerate(_tracks(playlist)):
            if isinstance(track, ValueError):
                yield track
                continue
            yield {
                "playlist_id": str(pid) if type(pid) is int else pid,  # the data set numbers its playlists
                "playlist_name": playlist.get("name"),
                "position": track.get("pos", index),
                "item_id": track.get("track_uri"),
            }


def _playlists(path: Path) -> Iterator[dict[str, Any]]:
    """Raises InputFileError: no slice."""
    try:
        playlists = json.loads(path.read_bytes())["playlists"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputFileError(
            f'{path} is no slice of the Million Playlist Dataset (JSON with "playlists"): {error}'
        ) from error
    if not isinstance(playlists, list):
        raise InputFileError(f'{path} is no slice of the Million Playlist Dataset: "playlists" is no list')
    yield from (playlist if isinstance(playlist, dict) else {} for playlist in playlists)


def _tracks(playlist: dict[str, Any]) -> Rows:
    tracks = playlist.get("tracks")
    if not isinstance(tracks, list):
        yield ValueError("no playlist: an entry has no list of tracks")
        return
    yield from (track if isinstance(track, dict) else ValueError(f"no track: {str(track)[:200]}") for track in tracks)


LAYOUT = Layout(
    readers={"items": {"mpd.slice.*.json": _items}, "playlists": {"mpd.slice.*.json": _members}},
    hint=": it has items and playlists",
)
