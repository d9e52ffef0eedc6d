"""Events: what users did. The next answer for the user knows them."""

from fastapi import APIRouter

from api.deps import RecommenderDep
from api.json_body import JsonRoute
from api.problems import error_responses
from api.schemas.fields import PathId
from api.schemas.requests import NewEvent, OneOrMany
from api.schemas.responses import Events, StoredEvent

router = APIRouter(tags=["events"], route_class=JsonRoute)


@router.post("/v1/events", status_code=201, responses=error_responses(404, 409, 413, 415))
def add_events(body: OneOrMany, recommender: RecommenderDep) -> Events:
    """Stores one event or an array of up to 10,000, all or none. An unknown item is refused, a new user is not."""
    drafts = [event.draft() for event in ([body] if isinstance(body, NewEvent) else body)]
    return Events(events=[StoredEvent.model_validate(event) for event in recommender.add_events(drafts)])


@router.delete("/v1/events/{event_id:path}", status_code=204, responses=error_responses(404))
def delete_event(event_id: PathId, recommender: RecommenderDep) -> None:
    """Forgets the event."""
    recommender.delete_event(event_id)
