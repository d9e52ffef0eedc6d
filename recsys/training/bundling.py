"""Trained parts become a bundle: one part alone, or a blend of all that help."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Bundle, Part
from recsys.data.dataset import Dataset
from recsys.data.splits import split_by_fold
from recsys.encoders.base import text_hash
from recsys.errors import InvalidRequest, TrainingError
from recsys.retrieval.fusion import Fusion
from recsys.retrieval.popular import POPULAR
from recsys.retrieval.registry import TYPES, kinds, restore_source
from recsys.retrieval.source import StoredSource
from recsys.training.blending import DEPTH, collect, select_sources
from recsys.training.plan import Plan, Progress
from recsys.training.recipe_types import HistoryInputs, TwoStageFit
from recsys.training.recipes import RECIPES, cold_scores, trainable

BLEND = "blend"
"""The default model: parts blended by a fusion."""


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A bundle, and its parts as they were fitted before they saw validation: what a later fusion is fitted on."""

    bundle: Bundle
    selection: Mapping[str, Part] = field(default_factory=dict)


def train_bundle(
    names: Sequence[str],
    dataset: Dataset,
    text: NDArray[np.float32],
    plan: Plan,
    *,
    default: str,
    included: Mapping[str, TwoStageFit] = MappingProxyType({}),
) -> Iterator[Progress | Trained]:
    """Yields progress, and last the bundle with the parts `names` and, when `default` is `blend`, their fusions. The name `blend`
    stands for the parts of the default blend.

    Parts that are `included` are taken as they are. A baseline that the data do not allow is left out of a blend, and the
    bundle says why.

    Raises:
        InvalidRequest: a name that no recipe makes.
        TrainingError: a run that cannot go on.
    """
    folds = split_by_fold(dataset)
    parts_of_blend = default_parts(include_seen=plan.include_seen)
    expanded = [part for name in names for part in (parts_of_blend if name == BLEND else [name])]
    selected = list(dict.fromkeys((*expanded, *(included if default == BLEND else ()))))
    check_known([name for name in selected if name not in included], settings=plan.overrides)
    fits, not_fitted = dict[str, TwoStageFit](), dict[str, str]()
    for name in selected:
        try:
            for fact in (
                (included[name],) if name in included else _fit(name, HistoryInputs(folds=folds, text=text), plan)
            ):
                match fact:
                    case Progress():
                        yield fact
                    case TwoStageFit():
                        fits[name] = fact
        except TrainingError as error:
            if default != BLEND or not TYPES[name].capabilities.baseline:
                raise
            not_fitted[name] = str(error)
            yield Progress(name, f"left out: {error}")
    selection = {name: fit.selection for name, fit in fits.items()}
    parts = {name: fit.refit for name, fit in fits.items()}
    about = plan.about() | {"data": _data_window(dataset)}
    if default == BLEND:
        sources = {name: restore_source(part).exact() for name, part in selection.items()}
        parts |= yield from _fusions(sources, HistoryInputs(folds=folds, text=text), plan)
        about["left_out"] = not_fitted | parts[BLEND].config["left_out"]
    texts = text_hashes(dataset.texts, dataset.domains)
    bundle = Bundle(parts=parts, default=default, item_ids=dataset.item_ids, about=about, texts=texts)
    yield Trained(bundle, selection)


def one_part_bundle(model: str, inputs: Any, plan: Plan) -> Iterator[Progress | Trained]:
    """Yields progress, and last a bundle with the one part that the recipe of `model` makes of `inputs`."""
    for fact in RECIPES[model].train(model, inputs, plan):
        match fact:
            case Progress():
                yield fact
            case Part():
                about = plan.about() | {"data": inputs.data_window(fact)}
                texts = text_hashes(inputs.texts, inputs.domains)
                bundle = Bundle(
                    parts={fact.name: fact}, default=fact.name, item_ids=inputs.item_ids, about=about, texts=texts
                )
                yield Trained(bundle)


def default_parts(*, include_seen: bool) -> list[str]:
    """The parts of the default blend: those for repeats only where items of the history may be answers."""
    return kinds(lambda can: can.answers == "items" and can.default_blend and (include_seen or not can.only_repeats))


def check_known(names: Iterable[str], *, settings: Iterable[str] = ()) -> None:
    """Does nothing while there is a recipe for each of `names`, and a part that each table of `settings` is for.

    Raises:
        InvalidRequest: there is none.
    """
    known = trainable()
    if unknown := [name for name in (*names, *settings) if name not in known]:
        raise InvalidRequest(f"unknown model {unknown[0]!r}: choose one of {', '.join([BLEND, *known])}")


def text_hashes(texts: Sequence[str], domains: Sequence[str | None]) -> tuple[str, ...]:
    """A hash of each item's text as it was trained on, with the domain that decides who reads it."""
    return tuple(text_hash(*text) for text in zip(texts, domains or (None,) * len(texts), strict=True))


def _fit(name: str, inputs: HistoryInputs, plan: Plan) -> Iterator[Progress | TwoStageFit]:
    recipe = RECIPES[name]
    if recipe.learns_from != "histories":
        raise InvalidRequest(f"{name} learns from {recipe.learns_from} and is trained alone: `recsys train {name}`")
    for fact in recipe.train(name, inputs, plan):
        assert not isinstance(fact, Part), f"{name} is fitted twice"
        yield fact


def _fusions(
    sources: Mapping[str, StoredSource], inputs: HistoryInputs, plan: Plan
) -> Generator[Progress, None, dict[str, Part]]:
    """`blend` of all parts that help, `simple-blend` of the baselines fitted the same way, `plain-blend` of these unfitted;
    yields progress."""
    baselines = [name for name in sources if TYPES[name].capabilities.baseline]
    parts = {}
    for name, members in {BLEND: list(sources), "simple-blend": baselines}.items():
        yield Progress(name, f"fitting the fusion of {len(members)} parts on validation")
        examples = collect(
            {member: sources[member] for member in members},
            inputs.folds.validation,
            catalogue=inputs.folds.refit.has_events,
            text=inputs.text,
            include_seen=plan.include_seen,
            seed=plan.seed,
        )
        optional = [member for member in members if member != POPULAR]
        fusion, figures = yield from select_sources(
            examples, always=[POPULAR], optional=optional, cold_scores=cold_scores(), seed=plan.seed, name=name
        )
        parts[name] = replace(fusion.part(name), figures=figures)
    equal = np.repeat(np.array([1, 0, 0], dtype=np.float32), len(baselines))
    plain = Fusion(tuple(baselines), equal, DEPTH, {"fit": "equal weights"})
    return parts | {"plain-blend": plain.part("plain-blend")}


def _data_window(dataset: Dataset) -> dict[str, Any]:
    """What the data was: sizes, number of the last event in the store, and first and last time where there are any."""
    dated = dataset.at[~np.isnan(dataset.at)]
    span = [float(dated.min()), float(dated.max())] if len(dated) else None
    sizes: dict[str, int | None] = {"users": len(dataset), "items": dataset.items, "events": len(dataset.rows)}
    sizes |= {"stored_events": dataset.stored_events, "last_event": dataset.last_event}
    return sizes | {"seconds": span, "hash": dataset.hash, "events_hash": dataset.events_hash}
