"""What fits next, for a stored user, a history sent along, or one item."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.deps import MetricsDep, RecommenderDep
from api.fields import PathId
from api.metrics import Metrics
from api.problems import documented
from api.schemas import Asked, HistoryAsked, Recommendations, SimilarAsked
from recsys.service import Answer

router = APIRouter(tags=["recommendations"])

# Plain `def` endpoints: the model computes, and inside an `async def` it would stall every other request.


@router.post("/v1/recommendations", responses=documented(413, 415))
def recommend(
    asked: HistoryAsked, recommender: RecommenderDep, metrics: MetricsDep, response: Response
) -> Recommendations:
    """The items that fit best after the history in the body, best first. Unknown ids in it are named in `degraded`."""
    return _shaped(recommender.recommend(history=asked.history, options=asked.options()), metrics, response)


@router.get("/v1/users/{user_id:path}/recommendations", responses=documented())
def recommend_for_user(
    user_id: PathId,
    asked: Annotated[Asked, Query()],
    recommender: RecommenderDep,
    metrics: MetricsDep,
    response: Response,
) -> Recommendations:
    """The items that fit best after the stored events of a user. An unknown user gets popular items, and is told so."""
    return _shaped(recommender.recommend(user_id=user_id, options=asked.options()), metrics, response)


@router.get("/v1/items/{item_id:path}/similar", responses=documented(404))
def similar_items(
    item_id: PathId,
    asked: Annotated[SimilarAsked, Query()],
    recommender: RecommenderDep,
    metrics: MetricsDep,
    response: Response,
) -> Recommendations:
    """The items that fit best beside one item, best first."""
    return _shaped(recommender.similar(item_id, options=asked.options()), metrics, response)


def _shaped(answer: Answer, metrics: Metrics, response: Response) -> Recommendations:
    """The answer as it is sent; its request id, under which the impression is stored, goes into the header too."""
    metrics.answer(answer)
    response.headers["X-Request-ID"] = answer.request_id
    return Recommendations.model_validate(answer)
