"""Options in the query string of a route that has to be quick.

FastAPI's `Query()` models look at the type of each field anew in every request, which takes as long as all else that such a
route does before it asks. Here pydantic reads the whole query at once; `query_parameters` tells OpenAPI what FastAPI would have.
"""

from functools import cache
from typing import Any, TypeVar, get_args, get_origin

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)


def parse_query(model: type[M], request: Request) -> M:
    """The query of `request` as `model`; of a name that is no list's the last value counts.

    Raises:
        RequestValidationError: it does not fit, as FastAPI would say it.
    """
    given: dict[str, Any] = {}
    lists = _lists(model)
    for name, value in request.query_params.multi_items():
        if name in lists:
            given.setdefault(name, []).append(value)
        else:
            given[name] = value
    try:
        return model.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise RequestValidationError([{**one, "loc": ("query", *one["loc"])} for one in found]) from error


def query_parameters(model: type[BaseModel]) -> dict[str, Any]:
    """The fields of `model` as parameters of an operation: for `openapi_extra`."""
    schema = model.model_json_schema()
    parameters = list[dict[str, Any]]()
    for name, field in schema["properties"].items():
        told = {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": field}
        parameters.append(told | ({"description": field["description"]} if "description" in field else {}))
    return {"parameters": parameters}


@cache
def _lists(model: type[BaseModel]) -> frozenset[str]:
    """Names of the fields that take several values."""

    def several(kind: Any) -> bool:
        return kind is list or get_origin(kind) is list or any(several(one) for one in get_args(kind))

    return frozenset(name for name, field in model.model_fields.items() if several(field.annotation))
