"""Settings as dataclasses: overridden by the tables of a configuration file, or those that a part was trained with."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from recsys.bundle import Part
from recsys.errors import BundleError, InvalidRequest
from recsys.retrieval.registry import TYPES

Settings = TypeVar("Settings")


def fitted_settings(part: Part) -> Any:
    """The settings that `part` was fitted with: a `config` of its type.

    Raises:
        BundleError: the part does not hold them.
    """
    row = TYPES[part.kind]
    assert row.config is not None
    (stored,) = part.config.get("fit", {part.kind: part.config}).values()
    try:
        return row.config(**{field.name: stored[field.name] for field in fields(row.config)})
    except (LookupError, TypeError, ValueError) as error:
        raise BundleError(f"part {part.name!r} does not hold its settings ({error}); train it again") from error


def overridden(settings: Settings, table: Mapping[str, Any], *, where: str) -> Settings:
    """A copy of the dataclass `settings` with the values of `table`; nested tables override nested dataclasses.

    Raises:
        InvalidRequest: a setting that does not exist, or a value that it does not take; `where` names the table.
    """
    assert is_dataclass(settings)
    if not isinstance(table, Mapping):
        raise InvalidRequest(f"{where}={table!r}: write the settings of a part as a table [{where}]")
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    for name, value in table.items():
        if name not in values:
            raise InvalidRequest(f"[{where}] has no setting {name!r}: choose one of {', '.join(values)}")
        is_nested = is_dataclass(values[name])
        if is_nested and not isinstance(value, Mapping):
            raise InvalidRequest(f"[{where}] {name}={value!r}: write it as a table [{where}.{name}]")
        values[name] = overridden(values[name], value, where=f"{where}.{name}") if is_nested else value
    try:
        return TypeAdapter(type(settings)).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "value_error":  # raised by the dataclass itself
            raise InvalidRequest(f"[{where}] {first['ctx']['error']}") from error
        name = ".".join(str(part) for part in first["loc"])
        raise InvalidRequest(f"[{where}] {name}={first['input']!r}: {first['msg']}") from error
