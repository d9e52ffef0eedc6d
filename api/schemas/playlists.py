"""What comes in over HTTP about lists. Unknown fields are refused, as everywhere."""

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.schemas.base import RequestModel
from api.schemas.fields import Id, Text
from api.schemas.requests import AnswerCount, ItemIds, PartName
from recsys.data.continuation_cases import Order
from recsys.retrieval.lists.encoder import STRENGTH
from recsys.service.playlists.questions import MAX_ALTERNATIVES, ContinueOptions, SimilarOptions

PlaylistName = Annotated[Text, Field(max_length=1000)]
Penalty = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]

PLAYLIST: JsonDict = {"item_ids": ["50", "181"], "name": "Space", "k": 10}


class PlaylistContent(RequestModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Saturday", "item_ids": ["50", "181", "50"]}]})

    name: PlaylistName | None = None
    item_ids: ItemIds = Field(description="In order; repeats are kept")


class SimilarListsQuery(RequestModel):
    """Which lists, of those that are stored."""

    k: AnswerCount = Field(10, description="How many lists")
    order: Order | None = Field(None, description="Does the order of the items count? Chooses the encoder")
    encoder: PartName | None = Field(None, description="Name of a list encoder")
    name_contains: PlaylistName | None = Field(None, description="Part of the name, any case")
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

    model_config = ConfigDict(json_schema_extra={"examples": [PLAYLIST | {"order": "free"}]})

    item_ids: ItemIds = Field([], description="In order; repeats count")
    name: PlaylistName | None = Field(
        None, description="Compared with other names where no item is known, and only there"
    )


class ContinueRequest(RequestModel):
    """A list sent along, and how it should go on. A list without items is continued by its name."""

    model_config = ConfigDict(json_schema_extra={"examples": [PLAYLIST | {"alternatives": 3}]})

    item_ids: ItemIds = Field([], description="In order; may be empty with a name")
    name: PlaylistName | None = None
    k: AnswerCount = Field(10, strict=True, description="Items of each continuation")
    alternatives: int = Field(1, strict=True, ge=1, le=MAX_ALTERNATIVES, description="How many continuations")
    repeats: bool = Field(False, strict=True, description="May items of the list come back?")
    order: Order | None = Field(
        None, description="Does the order of the items count? Left out: it does, where that can be"
    )
    encoder: PartName | None = Field(
        None, description="Part that continues; left out: all, blended", examples=["continue"]
    )
    exclude: ItemIds = Field([], description="Item ids not to show")
    strength: Penalty = Field(STRENGTH, description="What an item loses for each earlier alternative that holds it")
    same_group: Penalty = Field(
        0.0, description="What an item loses for each earlier one that shares its artist or brand"
    )
    most_of_group: int | None = Field(
        None, strict=True, ge=1, le=1000, description="Most items of one artist or brand in a continuation"
    )
    explain: bool = Field(False, strict=True, description="With each item, the items of the list that speak for it")

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
            explain=self.explain,
        )
