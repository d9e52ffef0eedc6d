"""Types of the values that come in over HTTP: ids, texts, times and free JSON, each checked before anything uses it.

Values that the databases or JSON cannot hold (null characters, lone surrogates, NaN, times outside the calendar) are refused
here with a message to the caller, instead of failing further in.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from recsys.store.records import MAX_ID

MAX_DEPTH = 16
MAX_OBJECTS = 10_000
"""Objects in one array of a body."""
SLICE = 500
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def refuse(kind: str, message: str) -> PydanticCustomError:
    """A validation error of our own; `message` is for the caller."""
    return PydanticCustomError(kind, message)


def clean(text: str) -> str:
    """`text`, if every database can hold it."""
    if "\x00" in text:
        raise refuse("null_character", "a null character cannot be stored: leave it out")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise refuse("surrogate", "half of a surrogate pair is no character: send valid Unicode") from error
    return text


def _refuse_number(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise refuse("id_is_string", "ids are strings: put the number in quotes")
    return value


def _parse_instant(value: Any) -> datetime:
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


def _check_json(value: Any) -> Any:
    """`value`, if it is JSON that every database can hold. Walks without recursion: the nesting is the caller's."""
    pending = [(value, 1)]
    while pending:
        node, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise refuse("json_depth", f"nested deeper than {MAX_DEPTH} levels: flatten it")
        children = [*node, *node.values()] if isinstance(node, dict) else node if isinstance(node, list) else [node]
        _check_leaves(children)
        pending += [(child, depth + 1) for child in children if child and isinstance(child, dict | list)]
    return value


def _check_leaves(values: list[Any]) -> None:
    """Checks those of the values that are no containers, all of a type at once."""
    clean("".join([value for value in values if isinstance(value, str)]))
    if not all(map(math.isfinite, [value for value in values if isinstance(value, float)])):
        raise refuse("not_finite", "NaN and infinities are no JSON: send null or leave it out")
    if any(abs(value) >= 2**63 for value in values if isinstance(value, int)):
        raise refuse("integer_size", "an integer must fit into 64 bits: send it as text")


def _check_ids(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Checks a list of short ASCII ids, as nearly all are, in one pass; any other id by id."""
    if isinstance(value, list) and all(type(item) is str and 0 < len(item) <= MAX_ID for item in value):
        joined = "".join(value)
        if joined.isascii() and "\x00" not in joined:
            return value
    return check(value)


def by_slices(values: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Checks a list of objects a slice at a time up to the first slice with errors, so that their number is bounded."""
    if not isinstance(values, list) or not values:
        return check(values)
    if len(values) > MAX_OBJECTS:
        raise PydanticKnownError(
            "too_long", {"field_type": "List", "max_length": MAX_OBJECTS, "actual_length": len(values)}
        )
    checked = list[Any]()
    for end in range(SLICE, len(values) + SLICE, SLICE):
        try:
            checked += check(values[end - SLICE : end])
        except ValidationError:
            return check(values[:end])  # again, for the positions of its errors
    return checked


Text = Annotated[str, AfterValidator(clean)]
Id = Annotated[str, Field(min_length=1, max_length=MAX_ID), AfterValidator(clean), BeforeValidator(_refuse_number)]
Ids = Annotated[list[Id], Field(fail_fast=True), WrapValidator(_check_ids)]
"""Any number of ids, of which the first wrong one alone is named.

A `max_length` of a field of this type would be ignored for lists of short ASCII ids.
"""
PathId = Annotated[str, Field(min_length=1, max_length=MAX_ID), AfterValidator(clean), BeforeValidator(unquote)]
"""An id in a path. `api.middleware.RawPathMiddleware` leaves it encoded for the router; here it is decoded."""

Domain = Annotated[Text, Field(max_length=200)]
Instant = Annotated[datetime, BeforeValidator(_parse_instant)]
Attributes = Annotated[dict[str, Any], BeforeValidator(_check_json)]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e9, le=1e9)]
Position = Annotated[int, Field(strict=True, ge=0, le=2**53)]
