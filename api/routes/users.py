"""Users exist through their events, so the only operation on them is to delete one."""

from fastapi import APIRouter

from api.deps import RecommenderDep
from api.problems import error_responses
from api.schemas.fields import PathId

router = APIRouter(tags=["users"])


@router.delete("/v1/users/{user_id:path}", status_code=204, responses=error_responses())
def delete_user(user_id: PathId, recommender: RecommenderDep) -> None:
    """Forgets the user with all events and impressions; one who is unknown too, of whom impressions may be on their way."""
    recommender.delete_user(user_id)
