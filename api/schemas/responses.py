"""What goes out over HTTP: most of it is read from the attributes of what `recsys.service` and `recsys.store` return."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict


class ResponseModel(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Because(ResponseModel):
    """An item of the history that speaks for a recommended one."""

    item_id: str
    title: str | None
    weight: float = Field(description="Comparable within one item only")


class Repeat(ResponseModel):
    times: int = Field(description="How often the user had it")
    usual_gap_sessions: float | None = Field(description="Sessions from one time to the next; null after one time")
    usual_gap_days: float | None = Field(description="Days from one time to the next, where times are known")


class ScoredItem(ResponseModel):
    item_id: str
    title: str | None
    score: float = Field(description="Comparable within one answer only")
    source: str = Field(description="The source that contributed most")
    sources: list[str] = Field(description="All sources that had a score for it")
    because: list[Because] | None = Field(
        None, description="With `explain`: the items of the history that speak for it, the strongest first"
    )
    repeat: Repeat | None = Field(None, description="With `explain`, of an item of the history: how often it came")


class Degraded(ResponseModel):
    what: str
    why: str


RECOMMENDATIONS: JsonDict = {
    "request_id": "5f2b7c1e9a3d4c6f8b0a1d2e3f405162",
    "bundle": "artifacts/bundles/blend-20260131-120000-4f2a9c",
    "encoder": "blend",
    "items": [
        {"item_id": "172", "title": "The Empire Strikes Back", "score": 3.1, "source": "markov", "sources": ["markov"]}
    ],
    "degraded": [{"what": "history", "why": "unknown items left out: b-17"}],
}


class Recommendations(ResponseModel):
    """Items best first, what they come from, and what could not be done as asked."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [RECOMMENDATIONS]})

    request_id: str = Field(description="Also in the header X-Request-ID and with the stored impression")
    bundle: str | None = Field(
        description="The trained bundle that answered; null: none, a live model or popular items"
    )
    encoder: str = Field(description="The part or live model that answered")
    items: list[ScoredItem]
    degraded: list[Degraded] = Field(description="What was asked and not done, and why")


class StoredItem(ResponseModel):
    item_id: str
    domain: str | None
    title: str | None
    attributes: dict[str, Any]
    available: bool = Field(description="May it be recommended? What is sold out is still learned from")


class AvailabilityChanges(BaseModel):
    changed: int = Field(description="Items that were available before and now are not, or the other way round")


class Items(BaseModel):
    items: list[StoredItem]


class StoredEvent(ResponseModel):
    event_id: str
    user_id: str
    item_id: str
    at: datetime | None
    position: int | None
    kind: str
    weight: float
    session_id: str | None


class Events(BaseModel):
    events: list[StoredEvent]


class StoredPlaylist(ResponseModel):
    playlist_id: str
    name: str | None
    item_ids: Sequence[str]


class ScoredList(ResponseModel):
    playlist_id: str
    name: str | None
    length: int = Field(description="Number of items")
    score: float = Field(description="Cosine of the two lists' vectors")


class SimilarLists(ResponseModel):
    """Stored lists, most similar first."""

    request_id: str
    bundle: str | None
    encoder: str = Field(description="The list encoder that compared them; `names`: their names")
    playlists: list[ScoredList]
    degraded: list[Degraded] = Field(description="What was asked and not done, and why")


class Alternative(ResponseModel):
    items: list[ScoredItem]


class ContinuedList(ResponseModel):
    """Continuations, the likeliest first."""

    request_id: str
    bundle: str | None
    encoder: str = Field(
        description="The part that continued the list; one of its sources where validation gave that all weight"
    )
    alternatives: list[Alternative]
    degraded: list[Degraded] = Field(description="What was asked and not done, and why")


class OfferedTruncation(BaseModel):
    layers: int
    dims: int
    bytes: int = Field(description="Of one item's vector")
    figures: dict[str, Any] = Field(description="Measured quality and speed")
    withheld: str | None = Field(
        description="Why it is not served, and the next larger one instead; null: it is served"
    )


class Part(BaseModel):
    name: str
    kind: str
    hash: str
    settings: dict[str, Any]
    figures: dict[str, Any] = Field(
        description="What was measured on this part, under the protocol in `about`; with `measured_on`: on the part of that "
        "evaluation bundle, of which this is a refit"
    )
    sizes: list[OfferedTruncation] = Field(
        [], description="What `layers` and `dims` can be, cheapest first; empty: one size"
    )


class LiveModel(BaseModel):
    name: str = Field(description="What `model` takes")
    about: str
    windows: str = Field(description="What `window` takes")
    default_window: str


class Models(BaseModel):
    bundle: str | None
    default: str = Field(description="The part that answers when no encoder is asked for")
    about: dict[str, Any] = Field(description="Protocol, seed, data window, parts left out and why")
    text_encoder: str | None = Field(
        None, description="What encodes texts, and in which precision catalogues on this machine; null: none is loaded"
    )
    parts: list[Part]
    lists: list[Part] = Field([], description="The parts that answer questions about lists")
    live: list[LiveModel] = Field(
        [], description="What ranks by counts of now, without training and for everyone alike"
    )


class Health(BaseModel):
    status: str


class Ready(BaseModel):
    ready: bool
    reasons: list[str]
    bundle: str | None
    active_bundle: str | None
