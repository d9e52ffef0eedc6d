"""Items: a new one can be recommended by the next request, a deleted or sold-out one is gone from it."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import RecommenderDep
from api.json_body import JsonRoute
from api.problems import error_responses
from api.schemas.fields import PathId
from api.schemas.items import AvailabilityBatch, ItemBatch, ItemContent, ItemQuery
from api.schemas.responses import AvailabilityChanges, Items, StoredItem

router = APIRouter(tags=["items"], route_class=JsonRoute)


@router.get("/v1/items", responses=error_responses())
def find_items(query: Annotated[ItemQuery, Query()], recommender: RecommenderDep) -> Items:
    """Items whose title or id holds `query`."""
    matches = recommender.find_items(query.query, limit=query.limit)
    return Items(items=[StoredItem.model_validate(item) for item in matches])


@router.post("/v1/items:batch", responses=error_responses(413, 415))
def put_items(batch: ItemBatch, recommender: RecommenderDep) -> Items:
    """Stores up to 1000 items at once, all or none; those that exist are replaced."""
    stored = recommender.put_items([item.draft(item.item_id) for item in batch.items])
    return Items(items=[StoredItem.model_validate(item) for item in stored])


@router.post("/v1/items:availability", responses=error_responses(404, 413, 415))
def set_availability(batch: AvailabilityBatch, recommender: RecommenderDep) -> AvailabilityChanges:
    """Sets which of up to 10,000 items may be recommended, all or none. What is sold out is not in the next answer, and still
    learned from."""
    return AvailabilityChanges(changed=recommender.set_availability(batch.by_id()))


@router.put("/v1/items/{item_id:path}", responses=error_responses(413, 415))
def put_item(item_id: PathId, content: ItemContent, recommender: RecommenderDep) -> StoredItem:
    """Stores the item, or replaces it."""
    return StoredItem.model_validate(recommender.put_items([content.draft(item_id)])[0])


@router.get("/v1/items/{item_id:path}", responses=error_responses(404))
def get_item(item_id: PathId, recommender: RecommenderDep) -> StoredItem:
    """The item as it is stored."""
    return StoredItem.model_validate(recommender.item(item_id))


@router.delete("/v1/items/{item_id:path}", status_code=204, responses=error_responses(404))
def delete_item(item_id: PathId, recommender: RecommenderDep) -> None:
    """Takes the item out of every later answer. Events about it are kept."""
    recommender.delete_item(item_id)
