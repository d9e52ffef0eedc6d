"""RecBole's atomic files: tab-separated, each column named with its type, such as `item_id:token`.

A file with a column `item_id_list` has one row for each event, with all items before it; such rows are put together again.
Source: Zhao et al., RecBole, CIKM 2021 (arXiv:2011.01731), section 3.2, and recbole.io/docs/user_guide/data/atomic_files.html.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from recsys.errors import InputFileError
from recsys.importing.fields import has_rating
from recsys.importing.layouts.layout import Layout
from recsys.importing.readers import Rows, read_csv
from recsys.importing.report import Row

LIST = "item_id_list"

Items = tuple[str, ...]


def _items(path: Path) -> Rows:
    return _atomic(path, ("item_id",), title=("title", "item_title", "name", "movie_title"))


def _events(path: Path) -> Rows:
    rows = _atomic(path, ("user_id", "item_id"))
    histories: dict[str, list[Items]] = {}
    for row in rows:
        if isinstance(row, ValueError) or LIST not in row:
            yield _labelled(row)
        elif row["user_id"] is None or row["item_id"] is None:
            yield {name: row[name] for name in ("user_id", "item_id")}
        else:
            histories.setdefault(row["user_id"], []).append((*(row[LIST] or "").split(), row["item_id"]))
    for user, sequences in histories.items():
        yield from _history(path, user, _joined(sequences))


def _history(path: Path, user: str, items: Items) -> Iterator[Row]:
    """The events of a user. Equal ones of the files of a data set (train, valid, test) have one id: each is stored once."""
    dataset = path.name.partition(".")[0]
    for position, item in enumerate(items):
        digest = hashlib.sha256("\n".join((dataset, user, str(position), item)).encode(errors="replace")).hexdigest()
        yield {"user_id": user, "item_id": item, "position": position, "event_id": digest[:32]}


def _joined(sequences: Sequence[Items]) -> Items:
    """The history of which `sequences` are beginnings, or windows that move on by one item; others are put behind it."""
    history: Items = ()
    for items in sorted(sequences, key=len, reverse=True):
        width = len(items)
        if items in (history[:width], history[-width:]):
            continue
        if width > 1 and items[:-1] == history[1 - width :]:
            history = (*history, items[-1])
        elif width > 1 and items[1:] == history[: width - 1]:
            history = (items[0], *history)
        else:
            history += items
    return history


def _labelled(row: Row | ValueError) -> Row | ValueError:
    """A label says as much as a rating does, where there is none: 1 for the item, 0 against it."""
    if isinstance(row, ValueError) or "label" not in row or has_rating(row):
        return row
    try:
        kind = {0.0: "dislike", 1.0: "like"}[float(row["label"])]
    except (TypeError, ValueError, KeyError):
        return ValueError(f"wrong label: {row['label']!r} is neither 0 nor 1")
    return {**row, "kind": kind}


def _atomic(path: Path, needed: Sequence[str], *, title: Sequence[str] = ()) -> Rows:
    """Rows under names without types; the first of the columns `title` that exists becomes the title."""
    names: dict[str, str] = {}
    for row in read_csv(path, (), delimiter="\t", quoted=False):
        if isinstance(row, ValueError):
            yield row
            continue
        if not names:
            names = _plain_names(path, row, needed, title)
        yield {names[typed]: value for typed, value in row.items()}


def _plain_names(path: Path, row: Row, needed: Sequence[str], title: Sequence[str]) -> dict[str, str]:
    names = {typed: typed.partition(":")[0] for typed in row}
    if "user_id" not in names.values():
        names = {typed: "user_id" if name == "session_id" else name for typed, name in names.items()}
    for name in needed:
        if name not in names.values():
            raise InputFileError(f"{path} has no column {name}:token; it has {', '.join(map(ascii, row))}")
    title_column = next((typed for wording in title for typed, name in names.items() if name == wording), None)
    return names | ({title_column: "title"} if title_column else {})


LAYOUT = Layout(
    readers={"items": {"*.item": _items}, "events": {"*.inter": _events}},
    others=("*.user",),
    hint="; users are known by their events alone, so that a .user file is not imported",
)
