"""What fits next, for a stored user, a history sent along, one item, or a text."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.deps import AskingDep
from api.fields import PathId
from api.problems import documented
from api.schemas import Asked, HistoryAsked, Recommendations, SimilarAsked, TextAsked
from recsys.service import Answer, Question

router = APIRouter(tags=["recommendations"])

# `async def`: what computes does so in the thread of `Together`, and these only wait for it.


@router.post("/v1/recommendations", response_model=Recommendations, responses=documented(413, 415, 503))
async def recommend(asked: HistoryAsked, ask: AskingDep) -> Response:
    """The items that fit best after the history in the body, best first. Unknown ids in it are named in `degraded`."""
    return _shaped(await ask(Question(history=asked.history, options=asked.options())))


@router.get("/v1/users/{user_id:path}/recommendations", response_model=Recommendations, responses=documented(503))
async def recommend_for_user(user_id: PathId, asked: Annotated[Asked, Query()], ask: AskingDep) -> Response:
    """The items that fit best after the stored events of a user. An unknown user gets popular items, and is told so."""
    return _shaped(await ask(Question(user_id=user_id, options=asked.options())))


@router.get("/v1/items/{item_id:path}/similar", response_model=Recommendations, responses=documented(404, 503))
async def similar_items(item_id: PathId, asked: Annotated[SimilarAsked, Query()], ask: AskingDep) -> Response:
    """The items that fit best beside one item, best first."""
    return _shaped(await ask(Question(item_id=item_id, options=asked.options())))


@router.post("/v1/search", response_model=Recommendations, responses=documented(413, 415, 503))
async def search_text(asked: TextAsked, ask: AskingDep) -> Response:
    """The items whose text is nearest to the one in the body, best first: by meaning, not by letters."""
    return _shaped(await ask(asked.question()))


def _shaped(answer: Answer) -> Response:
    """The answer as it is sent; its request id, under which the impression is stored, goes into the header too."""
    body = Recommendations.model_validate(answer).model_dump_json()
    return Response(body, media_type="application/json", headers={"X-Request-ID": answer.request_id})
