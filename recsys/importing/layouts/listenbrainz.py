"""ListenBrainz listens and feedback, one JSON object a line: a user's own export (a folder with user.json) or the public dumps.

A track is identified by its MusicBrainz recording id, or by the MessyBrainz id where there is none. Source:
listenbrainz.readthedocs.io, "JSON Documentation" and "ListenBrainz Data Dumps".
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recsys.importing.layouts.layout import Layout, once
from recsys.importing.readers import Rows, read_jsonl
from recsys.importing.report import Row

FOLDERS_ABOVE = 3
"""Folders between a file of listens (listens/2024/1.jsonl) and user.json."""


def _items(path: Path) -> Rows:
    """Each track once, as its first listen describes it."""
    columns = ("item_id", "domain", "title", "artist", "release")
    listens = _listens(path)
    return once(row if isinstance(row, ValueError) else {name: row[name] for name in columns} for row in listens)


def _events(path: Path) -> Rows:
    user = _owner(path)
    for row in _listens(path):
        signal = row if isinstance(row, ValueError) else _signal(row["score"])
        if isinstance(row, ValueError) or isinstance(signal, ValueError):
            yield signal
        else:
            event = {name: row[name] for name in ("item_id", "timestamp")}
            yield {"user_id": row["user_id"] or user, **event, **signal}


def _signal(score: Any) -> Row | ValueError:
    """What a score says of a track, or a listen without one."""
    match score:
        case None:
            return {"kind": "listen"}
        case 1:
            return {"kind": "like"}
        case -1:
            return {"kind": "dislike"}
        case 0:
            return {"kind": "like", "weight": 0}  # takes back what was said before
    return ValueError(f"wrong score: {score!r} is none of 1, 0 and -1")


def _listens(path: Path) -> Iterator[Row | ValueError]:
    for row in read_jsonl(path, ()):
        if isinstance(row, ValueError):
            yield row
            continue
        track = _below(row, "track_metadata")
        more, mapped = _below(track, "additional_info"), _below(track, "mbid_mapping")
        user = row.get("user_name") or row.get("user_id")
        yield {
            "user_id": str(user) if type(user) is int else user,  # the dumps number their users
            "item_id": mapped.get("recording_mbid")
            or more.get("recording_mbid")
            or row.get("recording_mbid")
            or row.get("recording_msid")
            or more.get("recording_msid"),
            "timestamp": row.get("listened_at", row.get("timestamp", row.get("created"))),
            "score": row.get("score"),
            "domain": "music",
            "title": track.get("track_name"),
            "artist": track.get("artist_name"),
            "release": track.get("release_name"),
        }


def _below(row: Row, name: str) -> dict[str, Any]:
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def _owner(path: Path) -> str | None:
    """The user whose export this is: its lines do not say."""
    for folder in path.resolve().parents[: FOLDERS_ABOVE + 1]:
        try:
            account = json.loads((folder / "user.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return account.get("username") or account.get("user_name") if isinstance(account, dict) else None
    return None


LAYOUT = Layout(
    readers={
        "items": {"listens/**/*.jsonl": _items, "*.listens": _items},
        "events": {"listens/**/*.jsonl": _events, "*.listens": _events, "feedback.jsonl": _events},
    },
    hint="; name a file's layout with --layout listenbrainz",
)
