"""Recommendations for a stored user, a history sent along, one item, or a text."""

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter

from api import query
from api.deps import answer_question
from api.json_body import JsonRoute
from api.problems import error_responses
from api.schemas.fields import PathId
from api.schemas.requests import RecommendQuery, RecommendRequest, SearchRequest, SimilarItemsQuery
from api.schemas.responses import Recommendations
from recsys.service import Answer, Question

router = APIRouter(tags=["recommendations"], route_class=JsonRoute)

ANSWER = TypeAdapter(Answer)
"""Serialises an answer as `Recommendations`, which has the same fields, without building one first."""

# `async def`: the thread of `MicroBatcher` computes, and these only wait for it.


@router.post("/v1/recommendations", response_model=Recommendations, responses=error_responses(413, 415, 503))
async def recommend(body: RecommendRequest, request: Request) -> Response:
    """The items that fit best after the history or user in the body, best first. Unknown ids are named in `degraded`."""
    return await _response(request, body.question())


@router.get(
    "/v1/users/{user_id:path}/recommendations",
    response_model=Recommendations,
    responses=error_responses(503),
    openapi_extra=query.query_parameters(RecommendQuery),
)
async def recommend_for_user(user_id: PathId, request: Request) -> Response:
    """The items that fit best after the stored events of a user. An unknown user gets popular items, and is told so."""
    options = query.parse_query(RecommendQuery, request)
    question = Question(user_id=user_id, domain=options.domain, options=options.options())
    return await _response(request, question)


@router.get(
    "/v1/items/{item_id:path}/similar",
    response_model=Recommendations,
    responses=error_responses(404, 503),
    openapi_extra=query.query_parameters(SimilarItemsQuery),
)
async def similar_items(item_id: PathId, request: Request) -> Response:
    """The items that fit best beside one item, best first."""
    return await _response(
        request, Question(item_id=item_id, options=query.parse_query(SimilarItemsQuery, request).options())
    )


@router.post("/v1/search", response_model=Recommendations, responses=error_responses(413, 415, 503))
async def search_text(body: SearchRequest, request: Request) -> Response:
    """The items that fit the text in the body best, by its words (typing errors are forgiven) and by what it means."""
    return await _response(request, body.question())


async def _response(request: Request, question: Question) -> Response:
    """The answer as it is sent; its request id, under which the impression is stored, goes into the header too."""
    answer = await answer_question(request, question)
    body = ANSWER.dump_json(answer)
    return Response(body, media_type="application/json", headers={"X-Request-ID": answer.request_id})
