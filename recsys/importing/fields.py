"""Values of a row, each checked by itself. Every refusal begins with its reason, which the report counts."""

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from recsys.importing.report import Row
from recsys.signals import RATING, is_rating
from recsys.store.records import MAX_ID, ItemDraft

ITEM_COLUMNS = ("item_id", "domain", "title", "available")
"""All other columns are attributes of an item."""
FLAGS: Mapping[str, bool | None] = {
    "true": True,
    "1": True,
    "yes": True,
    "false": False,
    "0": False,
    "no": False,
    "": None,
}
LARGEST_RATING = 100.0
"""Of any scale: percent."""
MAX_DEPTH = 16
TOO_DEEP = f"nested too deep: more than {MAX_DEPTH} levels; flatten it"
COMPACT = re.compile(r"((?:19|20)\d\d[01]\d[0-3]\d)(?:[T ]?(\d{6}))?")
"""A date as YYYYMMDD, or a time as YYYYMMDDhhmmss. As seconds they would be days of August 1970, or lie in the far future."""
EARLIEST = datetime.min.replace(tzinfo=UTC).timestamp()
_ENCODER = json.JSONEncoder(sort_keys=True, default=str)


def content(row: Row) -> str:
    """The row as JSON with sorted names, in ASCII: equal for equal rows.

    Raises:
        ValueError: a name or value that UTF-8 cannot hold, or lists within lists without end.
    """
    try:
        text = _ENCODER.encode(row)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if "\\ud" in text:  # a character beyond the 65,536th, or half of one
        try:
            json.dumps(row, ensure_ascii=False, default=str).encode()
        except UnicodeEncodeError:
            raise ValueError("broken encoding: convert the file to UTF-8") from None
    return text


def item(row: Row) -> ItemDraft:
    """An object in a column `attributes` holds attributes itself, as the API returns them.

    Raises:
        ValueError: a value is not what its column holds.
    """
    columns = {key: value for key, value in row.items() if key not in ITEM_COLUMNS and value is not None}
    if isinstance(nested := columns.get("attributes"), dict):
        columns = nested | {key: value for key, value in columns.items() if key != "attributes"}
    attributes = {str(key).replace("\0", ""): _plain(value) for key, value in columns.items()}
    return ItemDraft(
        item_id=identifier(row, "item_id"),
        domain=text(row, "domain"),
        title=text(row, "title"),
        attributes=attributes,
        available=flag(row, "available"),
    )


def event(row: Row, *, latest: float) -> Row:
    """A row of the events table; `event_id` is None where `row` has none, a rating has the scale of its file.

    Raises:
        ValueError: a value is not what its column holds, or the time is after `latest`.
    """
    at = row.get("at")
    kind, weight = signal(row)
    return {
        "event_id": identifier(row, "event_id") if row.get("event_id") is not None else None,
        "user_id": identifier(row, "user_id"),
        "item_id": identifier(row, "item_id"),
        "at": seconds(row.get("timestamp") if at is None else at, latest=latest),
        "position": whole(row, "position"),
        "kind": kind,
        "weight": weight,
        "session_id": session(row),
    }


def signal(row: Row) -> tuple[str, float]:
    """The kind of an event and its weight. One with a rating is of the kind `rating`, unless it names another.

    Raises:
        ValueError: no finite number, or a rating that no scale has.
    """
    kind = text(row, "kind") or (RATING if has_rating(row) else "view")
    weight = row.get("weight")
    if not is_rating(kind):
        return kind, 1.0 if weight is None else _number(weight, "weight")
    if (value := row["rating"] if has_rating(row) else weight) is None:
        raise ValueError("missing value: rating")
    rating = _number(value, "rating")
    if not 0 <= rating <= LARGEST_RATING:
        raise ValueError(f"rating out of range: {value!r}; give 0 to {LARGEST_RATING:g}")
    return kind, rating


def has_rating(row: Row) -> bool:
    return row.get("rating") not in (None, "")


def leaves_rating_out(row: Row, kind: str) -> bool:
    """Whether the row has a rating although its event is of another `kind`."""
    return has_rating(row) and not is_rating(kind)


def session(row: Row) -> str | None:
    """The session of an event; a basket is one."""
    name = "basket_id" if row.get("session_id") in (None, "") else "session_id"
    return None if row.get(name) in (None, "") else identifier(row, name)


def identifier(row: Row, name: str) -> str:
    """Raises ValueError: none, no string, or one that a database cannot hold as a key."""
    value = row.get(name)
    if value is None or value == "":
        raise ValueError(f"missing value: {name}")
    if not isinstance(value, str):
        raise ValueError(f"id is no string: {name}={value!r}; quote it, so that 007 stays 007")
    if "\0" in value or len(value) > MAX_ID:
        raise ValueError(f"id not storable: {name} holds a null character or is longer than {MAX_ID}")
    return value


def text(row: Row, name: str) -> str | None:
    """The value as text without null characters, which PostgreSQL cannot hold."""
    value = row.get(name)
    return None if value is None else str(value).replace("\0", "")


def flag(row: Row, name: str) -> bool | None:
    """Whether the value means true, in any case; None for an empty one.

    Raises:
        ValueError: it means neither true nor false.
    """
    value = row.get(name)
    word = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value).strip().lower()
    if word not in FLAGS:
        raise ValueError(f"wrong type: {name}={value!r} is neither true nor false; give true, false, 1, 0, yes or no")
    return FLAGS[word]


def whole(row: Row, name: str) -> int | None:
    """Raises ValueError: no whole number."""
    value = row.get(name)
    if value is None:
        return None
    number = _number(value, name)
    if number != int(number) or abs(number) > 2**53:
        raise ValueError(f"wrong type: {name}={value!r} is no whole number")
    return int(number)


def tomorrow() -> float:
    """A day from now in epoch seconds: later times are mistakes, earlier ones may be a clock that is ahead."""
    return (datetime.now(UTC) + timedelta(days=1)).timestamp()


def seconds(value: Any, *, latest: float) -> float | None:
    """Epoch seconds of a number or ISO text (UTC where it names no zone).

    Raises:
        ValueError: neither of them, outside the calendar, or after `latest`.
    """
    if value is None:
        return None
    try:
        moment = _moment(value)
        if isinstance(value, bool) or not math.isfinite(moment):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"wrong time: {value!r} is neither epoch seconds nor ISO 8601") from None
    if moment < EARLIEST:
        raise ValueError(f"wrong time: {value!r} lies before the year 1")
    if moment > latest:
        raise ValueError(f"time in the future: {value!r}; are these milliseconds? Give seconds")
    return moment


def _plain(value: Any, *, depth: int = 1) -> Any:
    """The value as JSON that every database can hold: without null characters, NaN and infinities."""
    if depth > MAX_DEPTH:
        raise ValueError(TOO_DEEP)
    match value:
        case str():
            return value.replace("\0", "")
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(key).replace("\0", ""): _plain(entry, depth=depth + 1) for key, entry in value.items()}
        case list() | tuple():
            return [_plain(entry, depth=depth + 1) for entry in value]
        case None | bool() | int():
            return value
    return str(value)  # dates and the like of Parquet


def _number(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"wrong type: {name}={value!r} is no number") from None
    if not math.isfinite(number):
        raise ValueError(f"wrong type: {name}={value!r} is no finite number")
    return number


def _moment(value: Any) -> float:
    """Epoch seconds of a date, a time, ISO text, digits that are a date, or a number."""
    if isinstance(value, date):
        return _utc(value if isinstance(value, datetime) else datetime.combine(value, time()))
    if not isinstance(value, int | str) or (isinstance(value, int) and 10**8 <= value < 10**13):  # no date has 9 digits
        return float(value)
    text = str(value).strip()
    if compact := COMPACT.fullmatch(text):
        with suppress(ValueError):  # no such day: seconds after all
            return _utc(datetime.fromisoformat("T".join(filter(None, compact.groups()))))
    is_iso = "-" in text[1:] or ":" in text or "T" in text
    return _utc(datetime.fromisoformat(text)) if is_iso else float(text)


def _utc(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
