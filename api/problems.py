"""Every error as `application/problem+json` (RFC 9457), with a detail that says what to do.

One table maps the errors of `recsys` to statuses; the routes catch nothing.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.responses import Response

from recsys.errors import Busy, Conflict, InvalidRequest, NotFound, NotReady, RecsysError, StoreError

log = logging.getLogger(__name__)

STATUSES: Mapping[type[RecsysError], int] = {
    NotFound: 404,
    Conflict: 409,
    InvalidRequest: 422,
    NotReady: 503,
    Busy: 503,
    StoreError: 503,
}
"""Any other error of `recsys` is our failure: 500."""

HIDDEN: Mapping[int, str] = {
    500: "something failed inside; the log has it under this request id",
    503: "the database does not answer; try again shortly, the log says more under this request id",
}
RETRY_AFTER = 2
"""Seconds in the Retry-After header of a 503."""
MAX_ERRORS = 20
MAX_TEXT = 300


class InvalidBody(HTTPException):
    """Values in a body do not fit. An `HTTPException`, for FastAPI lets no other error pass where it reads a body."""

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(422)
        self.errors = errors


class FieldError(BaseModel):
    where: str = Field(examples=["body.history.3"])
    message: str = Field(examples=["ids are strings: put the number in quotes"])


EXAMPLE: JsonDict = {
    "type": "about:blank",
    "title": "Not Found",
    "status": 404,
    "detail": "unknown item 'b-17': PUT it first or leave it out",
    "request_id": "5f2b7c1e9a3d4c6f8b0a1d2e3f405162",
}


class Problem(BaseModel):
    """An error, after RFC 9457."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    type: str
    title: str
    status: int
    detail: str = Field(description="What is wrong and what to do")
    request_id: str = Field(description="Also in the header X-Request-ID and in the log")
    errors: list[FieldError] = Field([], description="Each refused value, where there are some")
    reasons: list[str] = Field([], description="What is missing, when the service is not ready")


def schemas() -> dict[str, Any]:
    """The JSON schemas that `error_responses` refers to, by name."""
    _, schema = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
    return dict(schema["$defs"])


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: the errors `statuses`, and those that every route can give."""
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {"application/problem+json": {"schema": schema}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in sorted({400, 422, 500, 503, *statuses})
    }


def problem(
    request_id: str, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """The response. Escapes all that is not ASCII, so that whatever a message repeats of the request can be sent."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "request_id": request_id}
    return Response(
        json.dumps({**body, **more}),
        status_code=status,
        headers={**(headers or {}), "X-Request-ID": request_id},
        media_type="application/problem+json",
    )


def install(app: FastAPI) -> None:
    """Makes `app` answer every error with a problem."""
    app.add_exception_handler(RecsysError, _recsys_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(InvalidBody, _invalid_body)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Exception, _unexpected_error)


async def _recsys_error(request: Request, error: Exception) -> Response:
    status = next((status for kind, status in STATUSES.items() if isinstance(error, kind)), 500)
    retry = {"Retry-After": str(RETRY_AFTER)} if status == 503 else None
    if status == 500 or isinstance(error, StoreError):  # the message may name hosts and statements
        log.error("%s: %s", type(error).__name__, error, extra={"request_id": _id(request)}, exc_info=error)
        return problem(_id(request), status, HIDDEN[status], headers=retry)
    return problem(_id(request), status, str(error), headers=retry)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    details = {
        404: f"no {request.url.path}: see /openapi.json for what there is",
        405: f"{request.method} is not for {request.url.path}: see /openapi.json for what is",
    }
    detail = details.get(error.status_code, error.detail)
    return problem(_id(request), error.status_code, _short(detail), headers=_with_head(error.headers or {}))


def _with_head(headers: Mapping[str, str]) -> Mapping[str, str]:
    """`headers` of a 405, whose `Allow` names HEAD wherever it names GET."""
    methods = headers.get("Allow", "").split(", ")
    return (
        {**headers, "Allow": ", ".join([*methods, "HEAD"])} if "GET" in methods and "HEAD" not in methods else headers
    )


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    details: Sequence[Mapping[str, Any]] = error.errors()
    broken = next((detail for detail in details if detail["type"] == "json_invalid"), None)
    if broken is not None:
        return problem(
            _id(request), 400, f"the body is no valid JSON: {broken['ctx']['error']} at character {broken['loc'][-1]}"
        )
    if isinstance(error.body, bytes) and error.body:
        return problem(_id(request), 415, "send JSON with the header Content-Type: application/json")
    return _refused_values(request, details)


async def _invalid_body(request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidBody)
    return _refused_values(request, error.errors)


def _refused_values(request: Request, details: Sequence[Mapping[str, Any]]) -> Response:
    errors = [{"where": _where(detail), "message": _message(detail)} for detail in details[:MAX_ERRORS]]
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return problem(_id(request), 422, f"{errors[0]['where']}: {errors[0]['message']}{more}", errors=errors)


async def _unexpected_error(request: Request, error: Exception) -> Response:
    log.error("%s", type(error).__name__, extra={"request_id": _id(request)}, exc_info=error)
    return problem(_id(request), 500, HIDDEN[500])


def _id(request: Request) -> str:
    request_id: str = request.scope["state"]["request_id"]
    return request_id


def _where(error: Mapping[str, Any]) -> str:
    return _short(".".join(str(part) for part in error["loc"]))


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "missing":
        return "is needed" if len(error["loc"]) > 1 else "a JSON body is needed"
    if error["type"] == "extra_forbidden":
        return "there is no such field: correct its name or leave it out"
    if error["type"] in ("dict_type", "model_type", "model_attributes_type", "dataclass_type"):
        return "has to be a JSON object, in braces"
    message = str(error["msg"]).replace(" after validation", "")
    if error["type"] in ("too_long", "too_short") and isinstance(error["input"], str):
        return message.replace("item", "character")
    return _short(message)


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..."
