"""Options in the query string of a route that has to be quick.

FastAPI's `Query()` models look at the type of each field anew in every request, which takes as long as all else that such a
route does before it answers. Here pydantic validates the whole query at once; `query_parameters` documents it as FastAPI would.
"""

from functools import cache
from typing import Any, TypeVar, get_args, get_origin

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)


def parse_query(model: type[M], request: Request) -> M:
    """The query of `request` as `model`; a repeated option that takes one value has its last.

    Raises:
        RequestValidationError: it does not fit; the errors are those of FastAPI.
    """
    values: dict[str, Any] = {}
    lists = _list_fields(model)
    for name, value in request.query_params.multi_items():
        if name in lists:
            values.setdefault(name, []).append(value)
        else:
            values[name] = value
    try:
        return model.model_validate(values)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        raise RequestValidationError([{**detail, "loc": ("query", *detail["loc"])} for detail in errors]) from error


def query_parameters(model: type[BaseModel]) -> dict[str, Any]:
    """The fields of `model` as parameters of an operation: for `openapi_extra`."""
    schema = model.model_json_schema()
    parameters = list[dict[str, Any]]()
    for name, field in schema["properties"].items():
        parameter = {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": field}
        parameters.append(parameter | ({"description": field["description"]} if "description" in field else {}))
    return {"parameters": parameters}


@cache
def _list_fields(model: type[BaseModel]) -> frozenset[str]:
    """Names of the fields that take several values."""

    def is_list(kind: Any) -> bool:
        return kind is list or get_origin(kind) is list or any(is_list(argument) for argument in get_args(kind))

    return frozenset(name for name, field in model.model_fields.items() if is_list(field.annotation))
