"""The kinds of values that come in over HTTP: ids, texts, times and free JSON, each checked before anything uses it.

What the databases or JSON cannot hold (null characters, lone surrogates, NaN, times outside the calendar) is refused here,
so that it is the caller's error with a message and never a failure further in.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import AfterValidator, BeforeValidator, Field, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from recsys.store.records import MAX_ID

MAX_DEPTH = 16
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def refuse(kind: str, message: str) -> PydanticCustomError:
    """A validation error of our own; `message` is for the caller."""
    return PydanticCustomError(kind, message)


def clean(text: str) -> str:
    """`text`, if every database can hold it."""
    if "\x00" in text:
        raise refuse("null_character", "a null character cannot be stored: leave it out")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise refuse("surrogate", "half of a surrogate pair is no character: send valid Unicode")
    return text


def _no_number(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise refuse("id_is_string", "ids are strings: put the number in quotes")
    return value


def _instant(value: Any) -> datetime:
    if not isinstance(value, str):
        raise refuse("instant", "send the time as ISO 8601 text with its zone, such as 2026-01-31T12:00:00Z")
    try:
        at = datetime.fromisoformat(value)
    except ValueError as error:
        raise refuse("instant", "not an ISO 8601 time, such as 2026-01-31T12:00:00Z") from error
    if at.tzinfo is None:
        raise refuse("instant", "the time has no zone: add one, such as Z")
    if not EPOCH <= at <= datetime.now(UTC) + timedelta(days=1):
        raise refuse("instant", "the time must lie between 1970 and now")
    return at.astimezone(UTC)


def _plain(value: Any) -> Any:
    """`value`, if it is JSON that every database can hold. Walks without recursion: the nesting is the caller's."""
    below = [(value, 1)]
    while below:
        one, depth = below.pop()
        if depth > MAX_DEPTH:
            raise refuse("json_depth", f"nested deeper than {MAX_DEPTH} levels: flatten it")
        if isinstance(one, dict):
            below += [(part, depth + 1) for entry in one.items() for part in entry]
        elif isinstance(one, list):
            below += [(part, depth + 1) for part in one]
        else:
            _plain_leaf(one)
    return value


def _plain_leaf(value: Any) -> None:
    if isinstance(value, str):
        clean(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise refuse("not_finite", "NaN and infinities are no JSON: send null or leave it out")
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise refuse("integer_size", "an integer must fit into 64 bits: send it as text")


def _ordinary_ids(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """`value` if all of it is as most lists of ids are, which is seen at once; else each id is checked by itself."""
    if isinstance(value, list) and all(type(one) is str and 0 < len(one) <= MAX_ID for one in value):
        whole = "".join(value)
        if whole.isascii() and "\x00" not in whole:
            return value
    return check(value)


Text = Annotated[str, AfterValidator(clean)]
Id = Annotated[str, Field(min_length=1, max_length=MAX_ID), AfterValidator(clean), BeforeValidator(_no_number)]
Ids = Annotated[list[Id], WrapValidator(_ordinary_ids)]
"""Any number of ids: a limit of the field would not be seen."""
PathId = Annotated[str, Field(min_length=1, max_length=MAX_ID), AfterValidator(clean), BeforeValidator(unquote)]
"""An id in a path. `api.middleware.EncodedPaths` leaves it encoded for the router; here it is decoded."""

Instant = Annotated[datetime, BeforeValidator(_instant)]
Attributes = Annotated[dict[str, Any], BeforeValidator(_plain)]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e9, le=1e9)]
Position = Annotated[int, Field(strict=True, ge=0, le=2**53)]
