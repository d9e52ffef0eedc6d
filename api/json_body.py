"""JSON bodies of requests, read more strictly than FastAPI reads them."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import Request, Response
from fastapi._compat import ModelField
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from api.problems import InvalidBody

UNREADABLE = "the body cannot be read as JSON: send valid UTF-8, without too large numbers or too deep nesting"


LARGE = 50_000
"""Bytes from which a body is read and validated outside the event loop, which answers other requests meanwhile."""
MAX_FIELDS = 200_000
"""Fields in a large body: one object with more would be parsed in a single step so long that the event loop waits for it."""
FIELD = re.compile(rb'"\s*:')
LARGE_BODIES = ThreadPoolExecutor(1, thread_name_prefix="large-bodies")
"""One thread: with each one more, the event loop would wait longer for its turn."""


class JsonRequest(Request):
    def __init__(self, request: Request, field: ModelField | None) -> None:
        super().__init__(request.scope, request.receive)
        self.field = field

    async def json(self) -> Any:
        """The body; a large one is validated already.

        Raises:
            JSONDecodeError: it is malformed; FastAPI makes a validation error of it.
            HTTPException: it is JSON but of a kind that is not accepted.
        """
        body = await self.body()
        if len(body) < LARGE:
            return _parse(body)
        return await asyncio.get_running_loop().run_in_executor(LARGE_BODIES, _validated, body, self.field)


class JsonRoute(APIRoute):
    """A route whose body is read by `JsonRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler, field = super().get_route_handler(), self.body_field

        async def handle(request: Request) -> Response:
            return await handler(JsonRequest(request, field))

        return handle


def _validated(body: bytes, field: ModelField | None) -> Any:
    """The model that FastAPI would make of `body`, and then takes as it is."""
    if sum(1 for _ in FIELD.finditer(body)) > MAX_FIELDS:
        raise HTTPException(413, f"the body has more than {MAX_FIELDS:,} fields: send less at a time")
    value = _parse(body)
    if field is None:
        return value
    model, errors = field.validate(value, loc=("body",))
    if errors:
        raise InvalidBody(errors)
    return model


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body, object_pairs_hook=_object)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, UNREADABLE) from error


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The object, whose keys must differ: of two equal ones, readers take different ones."""
    result = dict(pairs)
    if len(result) < len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise HTTPException(400, f"the body has the key {twice[:100]!r} twice in one object: send it once")
    return result
