"""The parts that questions about lists are answered with: encoders by means, sources that continue, and their fusion."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from types import MappingProxyType

import numpy as np

from recsys.bundle import Part
from recsys.data.continuation_cases import continuation_cases
from recsys.data.playlists import Playlists, deployable, split_playlists
from recsys.indexes.exact import ExactConfig
from recsys.metrics.continuation import figures
from recsys.metrics.ranking import Interval
from recsys.retrieval.factors import AlsConfig, fit_als
from recsys.retrieval.lists.attributes import ListAttributesConfig, fit_list_attributes
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.entity_names import EntityNameConfig, EntityNameSource, fit_entity_names
from recsys.retrieval.lists.mean import MEAN, WEIGHTED, fit_mean
from recsys.retrieval.lists.name_blend import NameBlend, NameBlendConfig
from recsys.retrieval.lists.name_neighbours import NameNeighbours, NameNeighboursConfig, fit_name_neighbours
from recsys.retrieval.lists.neighbours import ListNeighbours, ListNeighboursConfig, fit_list_neighbours
from recsys.retrieval.lists.parts import restore_source
from recsys.retrieval.markov import MarkovConfig, fit_markov
from recsys.retrieval.neighbours import NeighboursConfig, fit_neighbours
from recsys.retrieval.popular import PopularConfig, fit_popular
from recsys.retrieval.registry import StoredSource
from recsys.retrieval.source import Source
from recsys.training.lists.ablation import marginal_gain
from recsys.training.lists.fusion import fit_continuation, list_queries
from recsys.training.recipes import Plan, Progress
from recsys.training.svd_init import svd_embeddings

SOURCES = (
    "popular",
    "neighbours",
    "markov",
    "beside",
    "item-neighbours",
    "als",
    "attributes",
    "names",
    "spelt",
    "named",
)
"""What continues a list, where it is fitted without anything else."""

CONTINUE = "continue"
"""The name of the fusion."""

DIM = 128
GRID = tuple(
    ListNeighboursConfig(lists=lists, power=power, rarity=rarity)
    for lists in (100, 500, 2000)
    for power in (1.0, 2.0, 3.0)
    for rarity in (0.0, 0.5, 1.0)
)
"""Settings of neighbour lists that are tried on validation."""
TRIED = 150
"""Validation cases of 5 seeds, and of 25, that they are tried on."""


def train_list_parts(
    lists: Playlists, plan: Plan, *, given: Mapping[str, Part] = MappingProxyType({})
) -> Iterator[Progress | dict[str, Part]]:
    """Yields progress, and last the parts by name: chosen on the validation lists, fitted again with them.

    `given` are learned encoders. All of them compare lists; one that raises what the validation lists measure helps to
    continue them, and one that does not, with an interval above 0, is left out of that. With `plan.deploy` nothing is
    withheld at the end: settings are chosen on the lists that would have been the test, and then these are learned, too.
    """
    folds = split_playlists(deployable(lists) if plan.deploy else lists)
    chosen = _tuned(folds.fit, folds.validation, seed=plan.seed)
    yield Progress(f"{PREFIX}neighbours", f"chosen on {len(folds.validation)} lists: {chosen}")
    reader = "" if lists.read is None else plan.text_encoder
    early: dict[str, Source] = dict(fit_sources(folds.fit, chosen, seed=plan.seed, text_encoder=reader))
    parts, gains = dict(given), dict[str, Interval]()
    for name, part in given.items():
        source = restore_source(part)
        gain = marginal_gain(list(early.values()), source, folds.validation, seed=plan.seed)
        helps, told = gain.low > 0, not np.isnan(gain.mean)
        figure = f"R-precision: {gain}" if told else f"{len(folds.validation)} lists are too few to tell"
        yield Progress(name, f"with minus without, {figure}: {'kept' if helps else 'left out'}")
        parts[name] = replace(part, figures=part.figures | {"with_minus_without": asdict(gain) if told else None})
        gains[name.removeprefix(PREFIX)] = gain
        if helps:
            early[name.removeprefix(PREFIX)] = source
    yield Progress(f"{PREFIX}{CONTINUE}", "fitting the fusion on the validation lists")
    fusion = fit_continuation(early, folds.validation, seed=plan.seed)
    left_out = {name: None if np.isnan(gain.mean) else gain.mean for name, gain in gains.items() if name not in early}
    fusion = replace(fusion, about=fusion.about | {"left_out": left_out})
    parts[f"{PREFIX}{CONTINUE}"] = fusion.part(f"{PREFIX}{CONTINUE}")
    del early
    for name, final in fit_sources(folds.refit, chosen, seed=plan.seed, text_encoder=reader):
        parts[f"{PREFIX}{name}"] = final.part(f"{PREFIX}{name}")
        yield Progress(f"{PREFIX}{name}", f"fitted on {len(folds.refit):,} lists")
    vectors = svd_embeddings(folds.refit.data, dim=DIM, seed=plan.seed)
    for name, config in (("mean", MEAN), ("weighted", WEIGHTED)):
        encoder = fit_mean(folds.refit.data, vectors, config, name=name)
        parts[f"{PREFIX}{name}"] = encoder.part(f"{PREFIX}{name}")
    yield parts


def fit_sources(
    lists: Playlists, chosen: ListNeighboursConfig, *, seed: int, text_encoder: str
) -> Iterator[tuple[str, StoredSource]]:
    """Each of `SOURCES` with its name, fitted on `lists`; `text_encoder` names what has read the names, empty for nothing."""
    by_name = dict[str, StoredSource]()
    for name in SOURCES:
        if name == "named":
            names, spelt = by_name["names"], by_name["spelt"]
            assert isinstance(names, NameNeighbours)
            assert isinstance(spelt, EntityNameSource)
            yield name, NameBlend(names, spelt, NameBlendConfig())
            continue
        source = fit_source(name, lists, chosen, seed=seed, text_encoder=text_encoder)
        if name in ("names", "spelt"):
            by_name[name] = source
        yield name, source


def fit_source(
    name: str, lists: Playlists, chosen: ListNeighboursConfig, *, seed: int, text_encoder: str = ""
) -> StoredSource:
    """The source `name` of `SOURCES`, but for `named`, over `lists`. An early item of a list counts as much as a late one, but
    for markov.

    `text_encoder` names the one that has read the names, where one has.
    """
    match name:
        case "popular":
            return fit_popular(lists.data, PopularConfig())
        case "neighbours":
            return fit_list_neighbours(lists.data, chosen)
        case "markov":
            return fit_markov(lists.data, MarkovConfig(reach=5, decay=0.8, window=10))
        case "beside":
            return fit_markov(lists.data, MarkovConfig(reach=10, decay=1.0, window=250, both=True))
        case "item-neighbours":
            return fit_neighbours(lists.data, NeighboursConfig(decay=1.0, window=250))
        case "als":
            return fit_als(lists.data, AlsConfig(factors=128, alpha=10.0, decay=1.0), seed=seed, index=ExactConfig())
        case "attributes":
            return fit_list_attributes(lists, ListAttributesConfig())
        case "names":
            return fit_name_neighbours(lists, NameNeighboursConfig(text_encoder=text_encoder))
        case "spelt":
            return fit_entity_names(lists, EntityNameConfig())
        case _:
            raise KeyError(name)


def _tuned(fit: Playlists, validation: Playlists, *, seed: int) -> ListNeighboursConfig:
    """The settings of best mean R-precision on validation; the first ones without a case."""
    by_size = [continuation_cases(validation, seeds=size, order="sensitive", seed=seed) for size in (5, 25)]
    best, most = ListNeighboursConfig(), -1.0
    base = fit_list_neighbours(fit.data, ListNeighboursConfig(rarity=1.0))
    for config in GRID:
        weights = np.where(base.known, np.maximum(base.weights, 1e-9) ** config.rarity, 0).astype(np.float32)
        source = ListNeighbours(base.held, weights=weights, config=config)
        found = []
        for cases in by_size:
            if not len(cases):
                continue
            queries = list_queries(cases, items=fit.data.items)[:TRIED]
            rows = source.search(queries, k=250).rows
            found += list(figures(rows, cases.withheld[:TRIED]).r_precision)
        if found and np.mean(found) > most:
            best, most = config, float(np.mean(found))
    return replace(best)
