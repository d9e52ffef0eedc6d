"""JSON bodies of requests, read more strictly than FastAPI reads them."""

import json
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

UNREADABLE = "the body cannot be read as JSON: send valid UTF-8, without too large numbers or too deep nesting"


class JsonRequest(Request):
    async def json(self) -> Any:
        """The body.

        Raises:
            JSONDecodeError: it is malformed; FastAPI makes a validation error of it.
            HTTPException: 400, it is JSON but of a kind that is not accepted.
        """
        return _parse(await self.body())


class JsonRoute(APIRoute):
    """A route whose body is read by `JsonRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(JsonRequest(request.scope, request.receive))

        return handle


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
