"""Options that several commands share: frozen dataclasses, each field of which is one option of a command."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, Literal, get_type_hints

import typer

Bundle = Annotated[str | None, typer.Option(help="URI of a bundle; by default the active one.")]
ItemCount = Annotated[int, typer.Option("--k", min=1, max=1000, help="How many items.")]
ListCount = Annotated[int, typer.Option("--k", min=1, max=1000, help="How many.")]
Explain = Annotated[
    bool, typer.Option("--explain", help="Show which items of the history or list speak for each answer.")
]
OrderChoice = Literal["sensitive", "free"]
Order = Annotated[OrderChoice | None, typer.Option(help="Does the order count? By default it does, where that can be.")]
Seed = Annotated[int, typer.Option(min=0, help="All randomness of the run comes from it.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartOptions:
    """Which bundle answers, and which part of it."""

    encoder: Annotated[str | None, typer.Option(help="Part that answers; by default the bundle's.")] = None
    bundle: Bundle = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFilters:
    """Which items of a history may come back."""

    include_seen: Annotated[
        bool | None, typer.Option(help="May items of the history come back? By default the bundle's rule.")
    ] = None
    include_open: Annotated[
        bool | None,
        typer.Option(help="May items of the open session come back? By default where people take items twice in one."),
    ] = None
    include_rejected: Annotated[
        bool | None,
        typer.Option("--include-rejected", help="Items may come back that the user disliked, hid or skipped."),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveModelOptions:
    """A model that counts what is stored now, in place of a part of a bundle."""

    model: Annotated[
        Literal["popular", "trending", "newest"] | None,
        typer.Option(help="Rank by events or items as stored now, without training; the history only filters."),
    ] = None
    window: Annotated[str | None, typer.Option(help="Of --model: 1h to 720h, 1d to 30d, or all.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TruncationOptions:
    """How much of a text encoder computes."""

    layers: Annotated[
        int | None, typer.Option(min=1, help="Layers of the text encoder to run, where the part has a choice.")
    ] = None
    dims: Annotated[int | None, typer.Option(min=1, help="Numbers of each text vector to compare, likewise.")] = None


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Returns `command` with a signature for Typer: a parameter whose type is a dataclass is replaced by its fields.

    Their types are `Annotated` with a `typer.Option` or `typer.Argument`; the command gets the dataclass, filled in.
    """
    groups: dict[str, type[Any]] = {}
    parameters: list[Parameter] = []
    for parameter in signature(command, eval_str=True).parameters.values():
        group = parameter.annotation
        if isinstance(group, type) and is_dataclass(group):
            groups[parameter.name] = group
            parameters += _field_parameters(group)
        else:
            parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))

    @wraps(command)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        command(**values)

    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # `inspect.signature` looks for it
    return run


def _field_parameters(group: type[Any]) -> list[Parameter]:
    types = get_type_hints(group, include_extras=True)
    return [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=types[field.name])
        for field in fields(group)
    ]


def set_options(values: dict[str, Any]) -> dict[str, Any]:
    """The options among `values` that were set: None stands for one that was not."""
    return {name: value for name, value in values.items() if value is not None}
