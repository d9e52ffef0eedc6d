"""Settings as a part holds them, checked before anything is made of them: a bundle may come from anywhere."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from recsys.bundle import Part
from recsys.errors import BundleError

Settings = TypeVar("Settings")

MAX_DEPTH = 10_000
"""Candidates that a fusion takes from each source, at most: more than any answer has."""


def stored_settings(settings: type[Settings], table: Mapping[str, Any], *, where: str) -> Settings:
    """The dataclass `settings` as the part `where` holds it; a union is told by the names of its fields.

    Raises:
        BundleError: the part holds none, or one that its type does not take.
    """
    try:
        return TypeAdapter(settings).validate_python(table)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise BundleError(
            f"part {where!r} does not hold its settings ({name}: {first['msg']:.200}); train it again"
        ) from error


def check_settings(part: Part, config: type[Any]) -> None:
    """Does nothing if `part` holds settings that `config` takes: those of the fit, and those of query time that replace them.

    Raises:
        BundleError: it does not.
    """
    fitted = [table for table in part.config.get("fit", {}).values() if isinstance(table, Mapping)]
    for table in (*fitted, part.config):
        known = {field.name: table[field.name] for field in fields(config) if field.name in table}
        stored_settings(config, known, where=part.name)


def stored_temperature(recipe: Mapping[str, Any]) -> float:
    """The temperature by which the model of `recipe` divides.

    Raises:
        ValueError: one that leaves no finite scores.
    """
    temperature = float(recipe["temperature"])
    if not 1e-3 <= temperature <= 1e6:
        raise ValueError(f"temperature={temperature}: must lie between 0.001 and 1,000,000")
    return temperature


def check_blend(part: Part, *, sources: tuple[Any, ...], depth: Any) -> None:
    """Does nothing if a fusion may take `depth` candidates from each of `sources`.

    Raises:
        BundleError: it may not: a name is none or there twice, or the depth is beyond `MAX_DEPTH`.
    """
    named = all(isinstance(name, str) for name in sources) and len(set(sources)) == len(sources)
    if not (named and type(depth) is int and 1 <= depth <= MAX_DEPTH):
        raise BundleError(
            f"part {part.name!r} takes depth={depth!r:.40} of {sources!r:.200}: distinct sources and a depth from 1 to "
            f"{MAX_DEPTH:,} are needed; train it again"
        )
