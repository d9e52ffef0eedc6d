"""The state of the service: its bundle and parts, its health and readiness, its counters."""

from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.deps import MetricsDep, RecommenderDep
from api.problems import error_responses, problem
from api.schemas.responses import Health, Models, Ready

router = APIRouter(tags=["service"])


@router.get("/v1/models", responses=error_responses())
def models(recommender: RecommenderDep) -> Models:
    """The active bundle and its parts, with settings and measured figures."""
    return Models.model_validate(recommender.models())


@router.get("/healthz")
async def health() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/readyz", response_model=Ready, responses=error_responses(503))
async def ready(request: Request, recommender: RecommenderDep) -> Ready | Response:
    """200 when recommendations come from a trained bundle, with what does not count yet; else 503 with the reasons.

    `bundle` answers. Where it is not `active_bundle`, the one activated last, the reasons say why not.
    """
    now = recommender.readiness()
    body = Ready(ready=now.ready, reasons=list(now.reasons), bundle=now.bundle, active_bundle=now.active_bundle)
    if now.ready:
        return body
    more: dict[str, Any] = body.model_dump(exclude={"ready"})
    return problem(request.state.request_id, 503, "; ".join(now.reasons), **more)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(metrics: MetricsDep) -> Response:
    """Counters and latencies in the Prometheus text format."""
    return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)
