"""Users exist through their events; what is left to do is to forget them."""

from fastapi import APIRouter

from api.deps import RecommenderDep
from api.fields import PathId
from api.problems import error_responses

router = APIRouter(tags=["users"])


@router.delete("/v1/users/{user_id:path}", status_code=204, responses=error_responses(404))
def delete_user(user_id: PathId, recommender: RecommenderDep) -> None:
    """Forgets the user with all events; what was shown stays without a name."""
    recommender.delete_user(user_id)
