"""The HTTP application."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from fastapi.routing import APIRoute

from api import problems
from api.body import BodyMiddleware
from api.deps import Service
from api.metrics import Metrics
from api.micro_batching import MicroBatcher
from api.middleware import (
    HeadMiddleware,
    HostMiddleware,
    LoadSheddingMiddleware,
    RawPathMiddleware,
    RequestContextMiddleware,
)
from api.routes import events, items, page, playlists, recommendations, state, users

MAX_BODY = 5_000_000
MAX_AT_WORK = 256

ABOUT = """Recommendations for stored users and for histories sent along.

Ids are strings. Encode a `/` inside an id in a path as `%2F` where the rest could be read as a route. Every error is
`application/problem+json`; what could not be done as asked, but was answered, stands in `degraded`."""


def create_app(
    recommender: Service,
    *,
    allowed_hosts: Iterable[str] = ("*",),
    max_body: int = MAX_BODY,
    max_at_work: int = MAX_AT_WORK,
) -> FastAPI:
    """The routes over `recommender`, which stays the caller's to close.

    Requests to other hosts than `allowed_hosts` are refused, bodies over `max_body` bytes, and requests beyond `max_at_work`
    at once.
    """
    batcher = MicroBatcher(recommender.answer)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = max_at_work  # writes that wait leave threads to reads
        yield
        batcher.close()

    app = FastAPI(
        title="recsys",
        version=version("recsys"),
        description=ABOUT,
        docs_url=None,  # the built-in pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        lifespan=lifespan,
    )
    app.state.recommender = recommender
    app.state.batcher = batcher
    app.state.metrics = Metrics()
    problems.install(app)
    for routes in (recommendations, items, events, playlists, users, state, page):
        app.include_router(routes.router)
    app.add_middleware(RawPathMiddleware)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(LoadSheddingMiddleware, limit=max_at_work)
    app.add_middleware(BodyMiddleware, limit=max_body)
    app.add_middleware(HostMiddleware, allowed=allowed_hosts)
    app.add_middleware(RequestContextMiddleware, metrics=app.state.metrics)  # added last, runs first
    _document_problems(app)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name


def _document_problems(app: FastAPI) -> None:
    """Puts the `Problem` that the routes refer to into the OpenAPI document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document["components"]["schemas"].update(problems.schemas())
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way
