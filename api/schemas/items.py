"""Items that come in over HTTP."""

from typing import Annotated

from pydantic import ConfigDict, Field, WrapValidator

from api.schemas.base import RequestModel
from api.schemas.fields import MAX_OBJECTS, Attributes, Domain, Id, Text, by_slices
from recsys.store.records import ItemDraft


class ItemQuery(RequestModel):
    query: Annotated[Text, Field(max_length=200)] = Field(
        "", description="Part of a title or id, in any case; empty: the first items", examples=["star"]
    )
    limit: int = Field(20, ge=1, le=100)


class ItemContent(RequestModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"title": "Star Wars", "attributes": {"year": 1977, "genres": ["Sci-Fi"]}, "available": True}]
        }
    )

    domain: Domain | None = None
    title: Annotated[Text, Field(max_length=10_000)] | None = None
    attributes: Attributes = Field({}, description="Any JSON object; its text is read by the text encoders")
    available: bool | None = Field(
        None, strict=True, description="May it be recommended? Left out: as stored before; a new item may"
    )

    def draft(self, item_id: str) -> ItemDraft:
        return ItemDraft(
            item_id=item_id,
            domain=self.domain,
            title=self.title,
            attributes=self.attributes,
            available=self.available,
        )


class NewItem(ItemContent):
    model_config = ConfigDict(json_schema_extra={"examples": [{"item_id": "50", "title": "Star Wars"}]})

    item_id: Id


class ItemBatch(RequestModel):
    items: list[NewItem] = Field(min_length=1, max_length=1000)


class ItemAvailability(RequestModel):
    item_id: Id
    available: bool = Field(strict=True)


class AvailabilityBatch(RequestModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [{"item_id": "50", "available": False}, {"item_id": "181", "available": True}]}]
        }
    )

    items: Annotated[list[ItemAvailability], Field(min_length=1, max_length=MAX_OBJECTS), WrapValidator(by_slices)] = (
        Field(description="Of equal ids the last counts")
    )

    def by_id(self) -> dict[str, bool]:
        return {item.item_id: item.available for item in self.items}
