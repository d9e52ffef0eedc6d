"""CSV, JSONL and Parquet files into the store, in pieces, with a report of what was rejected and why.

Every row is taken or rejected by itself. Taken rows are written a piece at a time; running the same file again adds
nothing, so an interrupted import is finished by running it again.
"""

import csv
import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.errors import InputFileError
from recsys.store import Store
from recsys.store.events import insert_events, same_event, stored_events
from recsys.store.items import content_hash, content_hashes, known_items, put_items
from recsys.store.playlists import put_playlist
from recsys.store.records import ItemDraft
from recsys.store.sessions import reading, writing

PIECE = 20_000
"""Rows held in memory and written at once."""
UNDECODED = "surrogateescape"
"""Bytes that are not UTF-8 become lone surrogates, so that `_is_text` finds the rows that hold them."""
AFTER_QUOTE = "expected after"
"""What the CSV reader says of text behind a closed quote; it goes on with the next line. Its other errors swallow the file."""

Row = dict[str, Any]


@dataclass
class Report:
    """What became of the rows so far; `reasons` counts rejections by their reason."""

    accepted: int = 0
    unchanged: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


class Rejects:
    """Counts rejected rows and writes each with its file, row number (the first data row is 1) and reason."""

    def __init__(self, report: Report, path: Path | None) -> None:
        self._report, self._path = report, path
        self._file: TextIO | None = None

    def add(self, source: str, number: int, reason: str, row: Row) -> None:
        self._report.rejected += 1
        self._report.reasons[reason.split(":")[0]] += 1
        if self._path is None:
            return
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8", errors="backslashreplace")
        line = {"file": source, "row": number, "reason": reason, "content": row}
        self._file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def import_items(store: Store, path: Path, *, dry_run: bool = False, rejects: Path | None = None) -> Iterator[Report]:
    """Yields the report after each piece. Every column beyond `item_id`, `domain` and `title` becomes an attribute."""
    seen: set[str] = set()

    def piece(rows: Sequence[tuple[int, Row]], report: Report, bad: Rejects) -> None:
        drafts = []
        for number, row in rows:
            try:
                draft = _item(row)
                if draft.item_id in seen:
                    raise ValueError(f"duplicate item_id: {draft.item_id!r} came earlier in this file")
                seen.add(draft.item_id)
                drafts.append(draft)
            except ValueError as error:
                bad.add(path.name, number, str(error), row)
        with reading(store.engine) as connection:
            held = content_hashes(connection, [draft.item_id for draft in drafts])
        new = [draft for draft in drafts if held.get(draft.item_id) != content_hash(draft)]
        if new and not dry_run:
            with writing(store.engine) as connection:
                put_items(connection, new)
        report.accepted += len(new)
        report.unchanged += len(drafts) - len(new)

    yield from _import(path, ("item_id",), piece, rejects)


def import_events(store: Store, path: Path, *, dry_run: bool = False, rejects: Path | None = None) -> Iterator[Report]:
    """Yields the report after each piece. Without `event_id` a row is known by file name, content and which equal row it is."""
    equal: Counter[bytes] = Counter()

    def piece(rows: Sequence[tuple[int, Row]], report: Report, bad: Rejects) -> None:
        with reading(store.engine) as connection:
            known = known_items(connection, [row["item_id"] for _, row in rows if isinstance(row.get("item_id"), str)])
            given = [row["event_id"] for _, row in rows if isinstance(row.get("event_id"), str)]
            stored = {event.event_id: event for event in stored_events(connection, given)}
        values: dict[str, Row] = {}
        for number, row in rows:
            try:
                value = _event(row, known)
                if (event := stored.get(value["event_id"])) and not same_event(
                    event, value, with_at=value["at"] is not None
                ):
                    raise ValueError(f"stored with other content: event {event.event_id!r}; give it another event_id")
                value["event_id"] = value["event_id"] or _key(path.name, row, equal)
                if value["event_id"] in values:
                    raise ValueError(f"duplicate event_id: {value['event_id']!r} came earlier in this file")
                values[value["event_id"]] = value
            except ValueError as error:
                bad.add(path.name, number, str(error), row)
        added = 0
        if values and not dry_run:
            with writing(store.engine) as connection:
                added = insert_events(connection, list(values.values()))
        report.accepted += len(values) if dry_run else added
        report.unchanged += 0 if dry_run else len(values) - added

    yield from _import(path, ("user_id", "item_id"), piece, rejects)


def import_playlists(
    store: Store, path: Path, *, dry_run: bool = False, rejects: Path | None = None
) -> Iterator[Report]:
    """Yields the report once, at the end: a list is replaced as a whole, by position."""
    lists: dict[str, list[tuple[int, str]]] = {}
    names: dict[str, str | None] = {}

    def piece(rows: Sequence[tuple[int, Row]], report: Report, bad: Rejects) -> None:
        with reading(store.engine) as connection:
            known = known_items(connection, [row["item_id"] for _, row in rows if isinstance(row.get("item_id"), str)])
        for number, row in rows:
            try:
                item_id, position = _known(row, known), _whole(row, "position")
                if position is None:
                    raise ValueError("missing value: position")
                lists.setdefault(_id(row, "playlist_id"), []).append((position, item_id))
                names[row["playlist_id"]] = row.get("playlist_name") or None
            except ValueError as error:
                bad.add(path.name, number, str(error), row)
        report.accepted = sum(map(len, lists.values()))

    yield from _import(path, ("playlist_id", "position", "item_id"), piece, rejects)
    if not dry_run:
        with writing(store.engine) as connection:
            for playlist_id, members in lists.items():
                put_playlist(connection, playlist_id, names[playlist_id], [item_id for _, item_id in sorted(members)])


def _import(
    path: Path,
    needed: Sequence[str],
    piece: Callable[[Sequence[tuple[int, Row]], Report, Rejects], None],
    rejects: Path | None,
) -> Iterator[Report]:
    report = Report()
    bad = Rejects(report, rejects)
    try:
        rows = enumerate(_rows(path, needed), start=1)
        while part := list(islice(rows, PIECE)):
            readable = []
            for number, row in part:
                if isinstance(row, ValueError):
                    bad.add(path.name, number, str(row), {})
                elif not _is_text(row):
                    bad.add(path.name, number, "broken encoding: convert the file to UTF-8", row)
                else:
                    readable.append((number, row))
            piece(readable, report, bad)
            yield report
        if not report.accepted + report.unchanged + report.rejected:
            raise InputFileError(f"{path} has no rows: nothing to import")
    finally:
        bad.close()


def _rows(path: Path, needed: Sequence[str]) -> Iterator[Row | ValueError]:
    """Rows as dictionaries, and in place of one that cannot be read what is wrong with it.

    CSV values are strings, an empty one is None.

    Raises:
        InputFileError: missing, empty, of an unknown kind, or without a needed column.
    """
    if not path.is_file():
        raise InputFileError(f"no such file: {path}")
    if not path.stat().st_size:
        raise InputFileError(f"{path} is empty: nothing to import")
    readers = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputFileError(f"{path}: unknown kind {path.suffix!r}; give .csv, .jsonl or .parquet")
    return reader(path, needed)


def _csv(path: Path, needed: Sequence[str]) -> Iterator[Row | ValueError]:
    with path.open(encoding="utf-8-sig", errors=UNDECODED, newline="") as file:
        reader = csv.DictReader(file, strict=True)
        _check_columns(path, reader.fieldnames or [], needed)
        for number in count(1):
            try:
                row = next(reader, None)
            except csv.Error as error:
                if AFTER_QUOTE not in str(error):
                    raise InputFileError(
                        f"{path}: row {number} opens a quote that nothing closes; mend it, then import again"
                    ) from error
                yield ValueError(f"no CSV: {error}")
                continue
            if row is None:
                return
            if beyond := row.pop(None, None):  # DictReader's key for them
                yield ValueError(f"more values than columns: {beyond}; quote a value that holds a comma")
            else:
                yield {key: value or None for key, value in row.items()}


def _jsonl(path: Path, needed: Sequence[str]) -> Iterator[Row | ValueError]:
    with path.open(encoding="utf-8-sig", errors=UNDECODED) as file:
        lines = (line for line in file if line.strip())
        for number, line in enumerate(lines):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                yield ValueError(f"no JSON object: {line[:200]}")
                continue
            if number == 0:
                _check_columns(path, list(row), needed)
            yield row


def _parquet(path: Path, needed: Sequence[str]) -> Iterator[Row | ValueError]:
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names, needed)
            for batch in file.iter_batches(PIECE):
                yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise InputFileError(f"{path} is no Parquet file: {error}") from error


def _check_columns(path: Path, found: Sequence[str], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in found]
    if missing:
        raise InputFileError(f"{path} has no column {missing[0]!r}; it has {', '.join(map(ascii, found)) or 'none'}")


def _is_text(row: Row) -> bool:
    """Whether UTF-8 can hold all names and values."""
    try:
        json.dumps(row, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True


def _item(row: Row) -> ItemDraft:
    fixed = ("item_id", "domain", "title")
    attributes = {key: _plain(value) for key, value in row.items() if key not in fixed and value is not None}
    return ItemDraft(
        item_id=_id(row, "item_id"),
        domain=_text(row, "domain"),
        title=_text(row, "title"),
        attributes=attributes,
    )


def _event(row: Row, known: set[str]) -> Row:
    weight = row.get("rating", row.get("weight"))
    at = row.get("at") if row.get("at") is not None else row.get("timestamp")
    return {
        "event_id": _id(row, "event_id") if row.get("event_id") is not None else None,
        "user_id": _id(row, "user_id"),
        "item_id": _known(row, known),
        "at": _seconds(at),
        "position": _whole(row, "position"),
        "kind": _text(row, "kind") or "view",
        "weight": 1.0 if weight is None else _number(weight, "rating"),
    }


def _id(row: Row, name: str) -> str:
    value = row.get(name)
    if value is None or value == "":
        raise ValueError(f"missing value: {name}")
    if not isinstance(value, str):
        raise ValueError(f"id is no string: {name}={value!r}; quote it, so that 007 stays 007")
    if "\0" in value or len(value) > 500:
        raise ValueError(f"id not storable: {name} holds a null character or is longer than 500")
    return value


def _known(row: Row, known: set[str]) -> str:
    item_id = _id(row, "item_id")
    if item_id not in known:
        raise ValueError(f"unknown item: {item_id!r}; import items first")
    return item_id


def _text(row: Row, name: str) -> str | None:
    value = row.get(name)
    return None if value is None else str(value).replace("\0", "")


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.replace("\0", "") if isinstance(value, str) else json.loads(json.dumps(value, default=str))


def _number(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"wrong type: {name}={value!r} is no number") from None
    if not math.isfinite(number):
        raise ValueError(f"wrong type: {name}={value!r} is no finite number")
    return number


def _whole(row: Row, name: str) -> int | None:
    value = row.get(name)
    if value is None:
        return None
    number = _number(value, name)
    if number != int(number) or abs(number) > 2**53:
        raise ValueError(f"wrong type: {name}={value!r} is no whole number")
    return int(number)


def _seconds(value: Any) -> float | None:
    """Epoch seconds or ISO text (UTC where it names no zone), not later than a day from now."""
    if value is None:
        return None
    try:
        seconds = _utc(value) if isinstance(value, datetime) else _utc_text(value) if _is_iso(value) else float(value)
        if isinstance(value, bool) or not math.isfinite(seconds):
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(f"wrong time: {value!r} is neither epoch seconds nor ISO 8601") from None
    if seconds > (datetime.now(UTC) + timedelta(days=1)).timestamp():
        raise ValueError(f"time in the future: {value!r}; are these milliseconds? Give seconds")
    return seconds


def _is_iso(value: Any) -> bool:
    return isinstance(value, str) and ("-" in value[1:] or ":" in value)


def _utc_text(value: str) -> float:
    return _utc(datetime.fromisoformat(value))


def _utc(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _key(source: str, row: Row, equal: Counter[bytes]) -> str:
    content = hashlib.sha256(json.dumps([source, row], sort_keys=True, default=str).encode()).digest()[:16]
    equal[content] += 1
    return f"{content.hex()}-{equal[content]}"
