"""The parts that answer questions about lists: chosen on validation lists, fused, and fitted again with them."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, replace
from types import MappingProxyType

import numpy as np

from recsys.bundle import Part
from recsys.data.playlists import Playlists, split_playlists
from recsys.metrics.ranking import Interval
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.scoring_only import ScoringOnlySource
from recsys.retrieval.lists.serving import CONTINUE
from recsys.retrieval.registry import Restored, capabilities, kinds, restore_encoder, restore_source
from recsys.retrieval.source import StoredSource
from recsys.training.lists.ablation import marginal_gain
from recsys.training.lists.fusion import fit_continuation
from recsys.training.lists.sources import ListInputs
from recsys.training.plan import Plan, Progress
from recsys.training.recipes import RECIPES, refit_part


def train_list_parts(
    lists: Playlists, plan: Plan, *, encoders: Mapping[str, Part] = MappingProxyType({})
) -> Iterator[Progress | dict[str, Part]]:
    """Yields progress, and last the parts by name: chosen on the validation lists, fitted again with them.

    All learned `encoders` compare lists. An encoder also helps to continue them if the interval of what it adds to R-precision
    on the validation lists is above 0, else it is left out of the fusion.
    """
    folds = split_playlists(lists)
    inputs = ListInputs(
        lists=folds.fit,
        validation=folds.validation,
        text_encoder="" if lists.name_vectors is None else plan.text_encoder,
        seed=plan.seed,
    )
    selection = yield from _fit_parts(inputs, plan)
    sources = _sources(selection)
    encoders, gains = yield from _measured(encoders, sources, folds.validation, seed=plan.seed)
    helping = {name: part for name, part in encoders.items() if gains[name].low > 0}
    sources |= {_short(name): _as_source(part) for name, part in helping.items()}
    yield Progress(f"{PREFIX}{CONTINUE}", "fitting the fusion on the validation lists")
    fusion = fit_continuation(sources, folds.validation, seed=plan.seed)
    left_out = {
        _short(name): None if np.isnan(gain.mean) else gain.mean for name, gain in gains.items() if name not in helping
    }
    fusion = replace(fusion, about=fusion.about | {"left_out": left_out})
    del sources
    refit = yield from _refit_parts(selection, replace(inputs, lists=folds.refit, validation=None), plan)
    name = f"{PREFIX}{CONTINUE}"
    yield {**encoders, name: fusion.part(name), **refit}


def _fit_parts(inputs: ListInputs, plan: Plan) -> Generator[Progress, None, dict[str, Part]]:
    """Fits each type of part that belongs to every blend of lists; yields progress, returns the parts by name."""
    parts = {}
    for kind in kinds(lambda can: can.answers == "lists" and can.default_blend):
        name = f"{PREFIX}{kind.removeprefix('list-')}"
        for fact in RECIPES[kind].train(name, inputs, plan):
            match fact:
                case Progress():
                    yield fact
                case Part():
                    parts[name] = fact
    return parts


def _refit_parts(
    selection: Mapping[str, Part], inputs: ListInputs, plan: Plan
) -> Generator[Progress, None, dict[str, Part]]:
    parts = {}
    for name, part in selection.items():
        parts[name] = yield from refit_part(part, inputs, plan)
        yield Progress(name, f"fitted on {len(inputs.lists):,} lists")
    return parts


def _sources(parts: Mapping[str, Part]) -> dict[str, StoredSource]:
    """Those of the parts that continue lists, without the prefix of their names."""
    sources, restored = dict[str, StoredSource](), dict[str, Restored]()
    for name, part in parts.items():
        if not capabilities(part.kind).encodes_lists:
            sources[_short(name)] = restored[part.kind] = restore_source(part, restored)
    return sources


def _measured(
    encoders: Mapping[str, Part], sources: Mapping[str, StoredSource], validation: Playlists, *, seed: int
) -> Generator[Progress, None, tuple[dict[str, Part], dict[str, Interval]]]:
    """Yields progress; returns the encoders with their figures, and what each adds to `sources`."""
    parts, gains, fused = dict[str, Part](), dict[str, Interval](), list[StoredSource](sources.values())
    for name, part in encoders.items():
        source = _as_source(part)
        gain = marginal_gain(fused, source, validation, seed=seed)
        helps, is_measured = gain.low > 0, not np.isnan(gain.mean)
        figure = f"R-precision: {gain}" if is_measured else f"{len(validation)} lists are too few to tell"
        yield Progress(name, f"with minus without, {figure}: {'kept' if helps else 'left out'}")
        figures = part.figures | {"with_minus_without": asdict(gain) if is_measured else None}
        parts[name], gains[name] = replace(part, figures=figures), gain
        if helps:
            fused.append(source)
    return parts, gains


def _as_source(part: Part) -> StoredSource:
    encoder = restore_encoder(part)
    assert encoder.decoder is not None, f"{part.name} generates nothing"
    return ScoringOnlySource(encoder, encoder.decoder)


def _short(name: str) -> str:
    return name.removeprefix(PREFIX)
