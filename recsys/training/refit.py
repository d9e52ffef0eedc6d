"""The deployed bundle: every part of an evaluation bundle fitted again on all events, with the settings chosen there."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from recsys.bundle import Bundle, Part
from recsys.training.plan import Plan, Progress
from recsys.training.recipe_types import LearnsFrom
from recsys.training.recipes import RECIPES, refit_part

MEASURED_ON = "measured_on"
"""Among the figures of a deployed part: the URI of the bundle that they were measured on."""


def refit_bundle(
    evaluation: Bundle,
    inputs: Mapping[LearnsFrom, Any],
    plan: Plan,
    *,
    deployed: Mapping[str, Part] = MappingProxyType({}),
) -> Iterator[Progress | Bundle]:
    """Yields progress, and last the bundle with the parts of `evaluation` fitted on `inputs`, which withhold nothing.

    Nothing is chosen again: settings, epochs and fusion weights are those of `evaluation`, and so are the figures. Parts in
    `deployed` are such refits already. Fusions and text encoders stay as they are.
    """
    parts = dict[str, Part]()
    for name, part in evaluation.parts.items():
        fitted = deployed[name] if name in deployed else (yield from _refitted(part, inputs, plan))
        parts[name] = replace(fitted, figures=fitted.figures | part.figures | {MEASURED_ON: evaluation.uri})
    yield replace(evaluation, parts=parts, about=evaluation.about | {"evaluation_bundle": evaluation.uri}, uri=None)


def _refitted(part: Part, inputs: Mapping[LearnsFrom, Any], plan: Plan) -> Generator[Progress, None, Part]:
    recipe = RECIPES.get(part.kind)
    if recipe is None or recipe.refit is None:
        return part
    yield Progress(part.name, "fitting on everything, with the settings chosen")
    return (yield from refit_part(part, inputs[recipe.learns_from], plan))
