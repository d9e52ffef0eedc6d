"""Rows of the store as plain values."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

MAX_ID = 512
"""Characters of an id: with four bytes each it still fits into an index entry of PostgreSQL."""
LAST_LAYER = -1
"""The layer of vectors from an encoder that gives none but those after its last."""

EVENT_CONTENT = ("user_id", "item_id", "position", "kind", "weight", "session_id")
"""What must be equal when an event id comes again; also `at`, where the caller gave it."""

VectorOwner = Literal["item", "playlist"]
"""What a vector belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDraft:
    """An item as the caller gives it. `available=None` leaves a stored item as it is; a new one is available."""

    item_id: str
    domain: str | None = None
    title: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    available: bool | None = None


def content_hash(draft: ItemDraft) -> str:
    """Equal for equal content, whatever the order of attributes."""
    content = json.dumps([draft.domain, draft.title, dict(draft.attributes)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item as it is stored; `number` never changes, `active` is False once deleted, `available` while it is sold out.

    `text` is what encoders read of it.
    """

    item_id: str
    domain: str | None
    title: str | None
    attributes: Mapping[str, Any]
    number: int
    content_hash: str
    active: bool
    available: bool = True
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDraft:
    """An event as the caller gives it. Without `event_id` the store makes one, without `at` it gets its arrival time."""

    user_id: str
    item_id: str
    at: datetime | None = None
    position: int | None = None
    event_id: str | None = None
    kind: str = "view"
    weight: float = 1.0
    session_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event as it is stored; `number` is the order of arrival, `at` seconds since 1970 UTC."""

    number: int
    event_id: str
    user_id: str
    item_id: str
    at: float | None
    position: int | None
    kind: str
    weight: float
    session_id: str | None = None

    def same_content(self, row: Mapping[str, Any], *, with_at: bool) -> bool:
        """Whether `row` of the events table has the content of this event; the time counts `with_at`."""
        return (not with_at or self.at == row["at"]) and all(getattr(self, name) == row[name] for name in EVENT_CONTENT)


class HistoryEvent(NamedTuple):
    """What of an event makes a history."""

    item_id: str
    at: float | None
    kind: str
    weight: float
    session_id: str | None


class KindCount(NamedTuple):
    """How many events of a kind there are, and how many of them have a weight above 0."""

    kind: str
    events: int
    positive: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Playlist:
    """A list of items in order, repeats included."""

    playlist_id: str
    name: str | None
    item_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BundleRecord:
    """A bundle that the store knows: `state` is staged, active or retired."""

    uri: str
    manifest: Mapping[str, Any]
    state: str


@dataclass(frozen=True, slots=True)
class Activation:
    """The active bundle, and since when it is."""

    uri: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Impression:
    """The items of one answer."""

    request_id: str
    user_id: str | None
    bundle: str | None
    items: list[str]
    at: datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows in the store."""

    items: int
    users: int
    events: int
    playlists: int
