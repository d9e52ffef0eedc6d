"""What goes in and out over HTTP. Unknown fields are refused, so that a misspelt option is noticed and not ignored."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic.config import JsonDict

from api.fields import Attributes, Finite, Id, Ids, Instant, Position, Text, refuse
from recsys.retrieval.lists.encoder import STRENGTH
from recsys.service import MAX_HISTORY, Options, Question
from recsys.service.playlists.questions import MAX_ALTERNATIVES, ContinueOptions, SimilarOptions
from recsys.store.records import EventDraft, ItemDraft


class RequestModel(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ResponseModel(BaseModel):
    model_config = ConfigDict(from_attributes=True)


Layers = Annotated[int, Field(ge=1, le=1000, description="Layers of the text encoder to run; left out: all")]
Dims = Annotated[int, Field(ge=1, le=100_000, description="Numbers of each text vector to compare; left out: all")]


class RecommendQuery(RequestModel):
    """How to answer: `include_seen` left out takes the rule of the bundle, `encoder` left out its default part.

    `layers` and `dims` choose one of the `sizes` that the part offers in /v1/models; another is answered at the next larger one.
    """

    k: int = Field(10, ge=1, le=1000, description="How many items", examples=[10])
    include_seen: bool | None = Field(None, description="May items of the history come back?")
    encoder: Annotated[Text, Field(max_length=200)] | None = Field(
        None, description="Name of a part in /v1/models", examples=["blend"]
    )
    allow: list[Id] | None = Field(None, max_length=1000, description="Show these item ids alone; left out: all")
    exclude: list[Id] = Field([], max_length=1000, description="Item ids not to show")
    layers: Layers | None = None
    dims: Dims | None = None

    def options(self) -> Options:
        return Options(
            k=self.k,
            allow=None if self.allow is None else tuple(self.allow),
            exclude=tuple(self.exclude),
            include_seen=self.include_seen,
            encoder=self.encoder or None,
            layers=self.layers,
            dims=self.dims,
        )


class SimilarItemsQuery(RequestModel):
    k: int = Field(10, ge=1, le=1000, description="How many items")
    encoder: Annotated[Text, Field(max_length=200)] | None = Field(None, description="Name of a part in /v1/models")
    allow: list[Id] | None = Field(None, max_length=1000, description="Show these item ids alone; left out: all")
    exclude: list[Id] = Field([], max_length=1000, description="Item ids not to show")
    layers: Layers | None = None
    dims: Dims | None = None

    def options(self) -> Options:
        return Options(
            k=self.k,
            allow=None if self.allow is None else tuple(self.allow),
            exclude=tuple(self.exclude),
            encoder=self.encoder or None,
            layers=self.layers,
            dims=self.dims,
        )


class SearchRequest(RequestModel):
    """Words to find items by. What the encoder was trained on decides in what language, and how long a text it reads."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": "a space opera with robots", "k": 5}]})

    query: Annotated[Text, Field(min_length=1, max_length=100_000)] = Field(description="Markup is taken out")
    domain: Annotated[Text, Field(max_length=200)] | None = Field(
        None,
        description="Find items of this domain alone; where the encoder has an expert for it, that one reads. Left out, all do",
    )
    k: int = Field(10, strict=True, ge=1, le=1000, description="How many items")
    allow: Ids | None = Field(None, description="Show these item ids alone, as many as the body holds; left out: all")
    exclude: Ids = Field([], description="Item ids not to show, as many as the body holds")
    layers: Layers | None = Field(None, strict=True)
    dims: Dims | None = Field(None, strict=True)

    def question(self) -> Question:
        allow = None if self.allow is None else tuple(self.allow)
        options = Options(k=self.k, allow=allow, exclude=tuple(self.exclude), layers=self.layers, dims=self.dims)
        return Question(text=self.query, domain=self.domain, options=options)


class ItemQuery(RequestModel):
    query: Annotated[Text, Field(max_length=200)] = Field(
        "", description="Part of a title or id, in any case; empty: the first items", examples=["star"]
    )
    limit: int = Field(20, ge=1, le=100)


class RecommendRequest(RecommendQuery):
    """A history sent along, oldest item first, which is used for this answer and not stored; or that of a stored user."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"history": ["50", "181"], "k": 10}]})

    history: list[Id] | None = Field(None, max_length=MAX_HISTORY, description="Item ids, oldest first; may be empty")
    user_id: Id | None = Field(None, description="In place of `history`: a stored user, whose events are taken")
    k: int = Field(10, strict=True, ge=1, le=1000, description="How many items")
    include_seen: bool | None = Field(None, strict=True, description="May items of the history come back?")
    allow: Ids | None = Field(None, description="Show these item ids alone, as many as the body holds; left out: all")
    exclude: Ids = Field([], description="Item ids not to show, as many as the body holds")
    layers: Layers | None = Field(None, strict=True)
    dims: Dims | None = Field(None, strict=True)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.history is None) == (self.user_id is None):
            raise refuse("history_or_user", "send either `history` or `user_id`")
        return self


class Scored(ResponseModel):
    item_id: str
    title: str | None
    score: float = Field(description="Comparable within one answer only")
    source: str = Field(description="The source that contributed most")
    sources: list[str] = Field(description="All sources that had an opinion")


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
    bundle: str | None = Field(description="The trained bundle that answered; null: none, popular items are shown")
    encoder: str = Field(description="The part that answered")
    items: list[Scored]
    degraded: list[Degraded] = Field(description="What was asked and not done, and why")


class ItemContent(RequestModel):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"title": "Star Wars", "attributes": {"year": 1977, "genres": ["Sci-Fi"]}}]}
    )

    domain: Annotated[Text, Field(max_length=200)] | None = None
    title: Annotated[Text, Field(max_length=10_000)] | None = None
    attributes: Attributes = Field({}, description="Any JSON object; its text is read by the text encoders")

    def draft(self, item_id: str) -> ItemDraft:
        return ItemDraft(item_id=item_id, domain=self.domain, title=self.title, attributes=self.attributes)


class NewItem(ItemContent):
    model_config = ConfigDict(json_schema_extra={"examples": [{"item_id": "50", "title": "Star Wars"}]})

    item_id: Id


class ItemBatch(RequestModel):
    items: list[NewItem] = Field(min_length=1, max_length=1000)


class StoredItem(ResponseModel):
    item_id: str
    domain: str | None
    title: str | None
    attributes: dict[str, Any]


class Items(BaseModel):
    items: list[StoredItem]


class NewEvent(RequestModel):
    """Without `event_id` the store makes one; with it, sending the event again changes nothing."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user_id": "ann", "item_id": "50", "at": "2026-01-31T12:00:00Z"}]}
    )

    user_id: Id
    item_id: Id
    at: Instant | None = Field(None, description="When it happened; left out: now")
    position: Position | None = Field(None, description="Order among events of the same time")
    event_id: Id | None = None
    kind: Annotated[Text, Field(min_length=1, max_length=100)] = "view"
    weight: Finite = 1.0

    def draft(self) -> EventDraft:
        return EventDraft(**self.model_dump())


OneOrMany = Annotated[
    Annotated[NewEvent, Tag("event")]
    | Annotated[list[NewEvent], Field(min_length=1, max_length=10_000), Tag("events")],
    Discriminator(lambda sent: "events" if isinstance(sent, list) else "event"),
]


class StoredEvent(ResponseModel):
    event_id: str
    user_id: str
    item_id: str
    at: datetime | None
    position: int | None
    kind: str
    weight: float


class Events(BaseModel):
    events: list[StoredEvent]


class PlaylistContent(RequestModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Saturday", "item_ids": ["50", "181", "50"]}]})

    name: Annotated[Text, Field(max_length=1000)] | None = None
    item_ids: list[Id] = Field(max_length=MAX_HISTORY, description="In order; repeats are kept")


class StoredPlaylist(ResponseModel):
    playlist_id: str
    name: str | None
    item_ids: Sequence[str]


class SizeOffered(BaseModel):
    layers: int
    dims: int
    bytes: int = Field(description="Of one item's vector")
    figures: dict[str, Any] = Field(description="Measured quality and speed")
    withheld: str | None = Field(
        description="Why it is not served, and the next larger one instead; null: it is served"
    )


LISTED: JsonDict = {"item_ids": ["50", "181"], "name": "Space", "k": 10}


class SimilarListsQuery(RequestModel):
    """Which lists, of those that are stored."""

    k: int = Field(10, ge=1, le=1000, description="How many lists")
    order: Literal["sensitive", "free"] | None = Field(
        None, description="Does the order of the items count? Chooses the encoder"
    )
    encoder: Annotated[Text, Field(max_length=200)] | None = Field(None, description="Name of a list encoder")
    name_contains: Annotated[Text, Field(max_length=1000)] | None = Field(
        None, description="Part of the name, any case"
    )
    min_length: int | None = Field(None, ge=0, description="Fewest items")
    max_length: int | None = Field(None, ge=0, description="Most items")
    holds: Id | None = Field(None, description="An item that the list must hold")

    def options(self) -> SimilarOptions:
        return SimilarOptions(
            k=self.k,
            order=self.order,
            encoder=self.encoder or None,
            name_contains=self.name_contains or None,
            min_length=self.min_length,
            max_length=self.max_length,
            holds=self.holds,
        )


class SimilarListsRequest(SimilarListsQuery):
    """A list sent along. It is used for this answer and not stored; its name is used where no item of it is known."""

    model_config = ConfigDict(json_schema_extra={"examples": [LISTED | {"order": "free"}]})

    item_ids: list[Id] = Field([], max_length=MAX_HISTORY, description="In order; repeats count")
    name: Annotated[Text, Field(max_length=1000)] | None = Field(
        None, description="Compared with other names where no item is known, and only there"
    )


class ContinueRequest(RequestModel):
    """A list sent along, and how it should go on. A list without items is continued by its name."""

    model_config = ConfigDict(json_schema_extra={"examples": [LISTED | {"alternatives": 3}]})

    item_ids: list[Id] = Field([], max_length=MAX_HISTORY, description="In order; may be empty with a name")
    name: Annotated[Text, Field(max_length=1000)] | None = None
    k: int = Field(10, strict=True, ge=1, le=1000, description="Items of each continuation")
    alternatives: int = Field(1, strict=True, ge=1, le=MAX_ALTERNATIVES, description="How many continuations")
    repeats: bool = Field(False, strict=True, description="May items of the list come back?")
    order: Literal["sensitive", "free"] | None = Field(
        None, description="Does the order of the items count? Left out: it does, where that can be"
    )
    encoder: Annotated[Text, Field(max_length=200)] | None = Field(
        None, description="Part that continues; left out: all, blended", examples=["continue"]
    )
    exclude: list[Id] = Field([], max_length=MAX_HISTORY, description="Item ids not to show")
    strength: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = Field(
        STRENGTH, description="What an item loses for each earlier alternative that holds it"
    )
    same_group: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = Field(
        0.0, description="What an item loses for each earlier one that shares its artist or brand"
    )
    most_of_group: int | None = Field(
        None, strict=True, ge=1, le=1000, description="Most items of one artist or brand in a continuation"
    )

    def options(self) -> ContinueOptions:
        return ContinueOptions(
            k=self.k,
            alternatives=self.alternatives,
            repeats=self.repeats,
            order=self.order,
            encoder=self.encoder or None,
            exclude=tuple(self.exclude),
            strength=self.strength,
            same_group=self.same_group,
            most_of_group=self.most_of_group,
        )


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
    items: list[Scored]


class ContinuedList(ResponseModel):
    """Continuations, the likeliest first."""

    request_id: str
    bundle: str | None
    encoder: str = Field(description="The part that continued the list")
    alternatives: list[Alternative]
    degraded: list[Degraded] = Field(description="What was asked and not done, and why")


class Part(BaseModel):
    name: str
    kind: str
    hash: str
    settings: dict[str, Any]
    figures: dict[str, Any] = Field(description="What was measured on this part, under the protocol in `about`")
    sizes: list[SizeOffered] = Field([], description="What `layers` and `dims` can be, cheapest first; empty: one size")


class Models(BaseModel):
    bundle: str | None
    default: str = Field(description="The part that answers when no encoder is asked for")
    about: dict[str, Any] = Field(description="Protocol, seed, data window, parts left out and why")
    parts: list[Part]
    lists: list[Part] = Field([], description="The parts that answer questions about lists")


class Health(BaseModel):
    status: str


class Ready(BaseModel):
    ready: bool
    reasons: list[str]
