"""What comes in over HTTP. Unknown fields are refused, so that a misspelt option is noticed and not ignored."""

from dataclasses import replace
from typing import Annotated, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, WrapValidator, model_validator

from api.schemas.base import RequestModel
from api.schemas.fields import MAX_OBJECTS, Domain, Finite, Id, Ids, Instant, Position, Text, by_slices, refuse
from recsys.retrieval.live_models import WINDOWS, LiveModelName
from recsys.service import MAX_HISTORY, Options, Question
from recsys.signals import MAX_RATING, is_rating
from recsys.store.records import EventDraft

Layers = Annotated[int, Field(ge=1, le=1000, description="Layers of the text encoder to run; left out: all")]
Dims = Annotated[int, Field(ge=1, le=100_000, description="Numbers of each text vector to compare; left out: all")]
AnswerCount = Annotated[int, Field(ge=1, le=1000)]
PartName = Annotated[Text, Field(max_length=200)]
ItemIds = Annotated[list[Id], Field(max_length=MAX_HISTORY)]


class ItemOptions(RequestModel):
    """`layers` and `dims` choose one of the `sizes` of the part in /v1/models; another is answered at the next larger one."""

    k: AnswerCount = Field(10, description="How many items")
    allow: list[Id] | None = Field(None, max_length=1000, description="Show these item ids alone; left out: all")
    exclude: list[Id] = Field([], max_length=1000, description="Item ids not to show")
    layers: Layers | None = None
    dims: Dims | None = None

    def options(self) -> Options:
        return Options(
            k=self.k,
            allow=None if self.allow is None else tuple(self.allow),
            exclude=tuple(self.exclude),
            layers=self.layers,
            dims=self.dims,
        )


class JsonItemOptions(ItemOptions):
    """The same options in a JSON body, which tells numbers from text and has room for more ids."""

    model_config = ConfigDict(strict=True)

    allow: Ids | None = Field(None, description="Show these item ids alone, as many as the body holds; left out: all")
    exclude: Ids = Field([], description="Item ids not to show, as many as the body holds")


class HistoryOptions(ItemOptions):
    """Adds how a history is answered: `include_seen` left out takes the rule of the bundle, `encoder` its default part."""

    include_seen: bool | None = Field(None, description="May items of the history come back?")
    include_open: bool | None = Field(
        None, description="May items of the open session come back? Left out: where people take items twice in one"
    )
    include_rejected: bool = Field(False, description="May items come back that the user disliked, hid or skipped?")
    session_id: Id | None = Field(
        None, description="The session that goes on, as its events have it; left out: the last one, for a while"
    )
    encoder: PartName | None = Field(None, description="Name of a part in /v1/models", examples=["blend"])
    model: LiveModelName | None = Field(
        None,
        description="In place of `encoder`: one of `live` in /v1/models, by counts of now and without training; the history only "
        "filters",
    )
    window: Annotated[Text, Field(max_length=20)] | None = Field(
        None, description=f"With `model`: {WINDOWS}; left out: its default in /v1/models", examples=["24h"]
    )
    domain: Domain | None = Field(None, description="Show items of this domain alone")
    explain: bool = Field(False, description="With each item, the items of the history that speak for it")

    def options(self) -> Options:
        options = super().options()
        return replace(
            options,
            include_seen=self.include_seen,
            include_open=self.include_open,
            include_rejected=self.include_rejected,
            session_id=self.session_id,
            encoder=self.encoder or None,
            model=self.model,
            window=self.window,
            explain=self.explain,
        )


class RecommendQuery(HistoryOptions):
    k: AnswerCount = Field(10, description="How many items", examples=[10])


class RecommendRequest(JsonItemOptions, HistoryOptions):
    """A history sent along, oldest item first, which is used for this answer and not stored; or that of a stored user."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"history": ["50", "181"], "k": 10}, {"user_id": "ann", "session": ["50"]}]}
    )

    history: ItemIds | None = Field(None, description="Item ids, oldest first; may be empty")
    session: ItemIds = Field(
        [], description="Item ids of the session that goes on, such as an open basket; after `history`"
    )
    user_id: Id | None = Field(None, description="In place of `history`: a stored user, whose events are taken")

    @model_validator(mode="after")
    def _history_or_user(self) -> Self:
        if (self.history is None) == (self.user_id is None):
            raise refuse("history_or_user", "send either `history` or `user_id`")
        return self

    def question(self) -> Question:
        return Question(
            history=self.history,
            session=self.session,
            user_id=self.user_id,
            domain=self.domain,
            options=self.options(),
        )


class SimilarItemsQuery(ItemOptions):
    encoder: PartName | None = Field(None, description="Name of a part in /v1/models")

    def options(self) -> Options:
        return replace(super().options(), encoder=self.encoder or None)


class SearchRequest(JsonItemOptions):
    """A text to find items by. Its words are compared in any language; what the text encoder was trained on decides in which
    language, and how long a text it understands."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"query": "a space opera with robots", "k": 5}, {"query": "star", "user_id": "ann"}]
        }
    )

    query: Annotated[Text, Field(min_length=1, max_length=100_000)] = Field(description="Markup is taken out")
    domain: Domain | None = Field(
        None,
        description="Find items of this domain alone; where the encoder has an expert for it, that one reads. Left out, all do",
    )

    user_id: Id | None = Field(None, description="A stored user, whose taste counts beside the text")
    history: ItemIds | None = Field(None, description="In place of `user_id`: item ids, oldest first")
    include_seen: bool = Field(True, description="May items of the history be found?")
    include_rejected: bool = Field(False, description="May items be found that the user disliked, hid or skipped?")

    @model_validator(mode="after")
    def _history_or_user(self) -> Self:
        if self.history is not None and self.user_id is not None:
            raise refuse("history_or_user", "send either `history` or `user_id`, or neither")
        return self

    def options(self) -> Options:
        return replace(super().options(), include_seen=self.include_seen, include_rejected=self.include_rejected)

    def question(self) -> Question:
        return Question(
            text=self.query,
            domain=self.domain,
            user_id=self.user_id,
            history=self.history,
            options=self.options(),
        )


class NewEvent(RequestModel):
    """Without `event_id` the store makes one; with it, sending the event again changes nothing."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user_id": "ann", "item_id": "50", "at": "2026-01-31T12:00:00Z"},
                {"user_id": "ann", "item_id": "50", "kind": "purchase", "session_id": "visit-17"},
                {"user_id": "ann", "item_id": "181", "kind": "rating", "weight": 4.5},
            ]
        }
    )

    user_id: Id
    item_id: Id
    at: Instant | None = Field(None, description="When it happened; left out: now")
    position: Position | None = Field(None, description="Order among events of the same time")
    event_id: Id | None = None
    kind: Annotated[Text, Field(min_length=1, max_length=100)] = Field(
        "view", description="What was done: view, cart, purchase, like, dislike, rating, ..."
    )
    weight: Finite = Field(
        1.0, description="How much it counts, below 0 against the item; of a rating its value, from 0 to 5"
    )
    session_id: Id | None = Field(None, description="The visit, basket or listening hour that it is part of")

    @model_validator(mode="after")
    def _rating_in_range(self) -> Self:
        if is_rating(self.kind) and not ("weight" in self.model_fields_set and 0 <= self.weight <= MAX_RATING):
            raise refuse("rating", f"send the value of a rating as its `weight`, from 0 to {MAX_RATING:g}")
        return self

    def draft(self) -> EventDraft:
        return EventDraft(**self.model_dump())


OneOrMany = Annotated[
    Annotated[NewEvent, Tag("event")]
    | Annotated[list[NewEvent], Field(min_length=1, max_length=MAX_OBJECTS), WrapValidator(by_slices), Tag("events")],
    Discriminator(lambda body: "events" if isinstance(body, list) else "event"),
]
