"""How each type of part is trained: one row a type, under the key that it has in `recsys.retrieval.registry`."""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

from recsys.bundle import Part
from recsys.encoders.catalogue_parts import KIND as ITEM_TEXT
from recsys.retrieval.ease import fit_ease
from recsys.retrieval.factors import fit_als, fit_bpr
from recsys.retrieval.imputed import fit_imputed
from recsys.retrieval.lexical import fit_lexical
from recsys.retrieval.lists.attributes import ListAttributesConfig, fit_list_attributes
from recsys.retrieval.lists.encoder import ListEncoder
from recsys.retrieval.lists.entity_names import EntityNameConfig, fit_entity_names
from recsys.retrieval.lists.name_blend import NameBlendConfig
from recsys.retrieval.lists.name_neighbours import NameNeighboursConfig, fit_name_neighbours
from recsys.retrieval.lists.neighbours import fit_list_neighbours
from recsys.retrieval.markov import fit_markov
from recsys.retrieval.neighbours import fit_neighbours
from recsys.retrieval.popular import PopularConfig, fit_popular
from recsys.retrieval.registry import TYPES
from recsys.retrieval.search_space import Catalogue
from recsys.retrieval.source import StoredSource
from recsys.retrieval.text import fit_text
from recsys.training.item_text.recipe import train_item_text
from recsys.training.lists import sources as list_sources
from recsys.training.lists.encoders import (
    playlist_recipe,
    refit_playlist_seq2seq,
    refit_set,
    set_recipe,
    train_playlist_seq2seq,
    train_set,
)
from recsys.training.lists.sources import ListInputs
from recsys.training.overrides import fitted_settings
from recsys.training.personal import fit_personal
from recsys.training.plan import Plan, Progress
from recsys.training.recipe_types import HistoryInputs, Recipe, TwoStageFit
from recsys.training.sequence_part import sequence
from recsys.training.tuning import Fit, FitInputs, Tuning, choose_settings

DECAY = MappingProxyType({"decay": 1.0})
ITEM_ITEM = MappingProxyType({"decay": 1.0, "against": 0.0})
SCALE_AND_DECAY = MappingProxyType({"decay": 1.0, "scale": 1.0})


def trainable() -> list[str]:
    """The types of part that are trained by their names."""
    return [kind for kind, recipe in RECIPES.items() if recipe.learns_from != "list blend"]


def tuned(fit: Fit, *, query_time: Mapping[str, float] = MappingProxyType({})) -> Recipe:
    """A source whose settings are chosen on validation; `query_time` as in `Tuning`."""

    def train_source(name: str, inputs: HistoryInputs, plan: Plan) -> Iterator[Progress | TwoStageFit]:
        folds = inputs.folds
        selection = FitInputs(dataset=folds.fit, text=inputs.text, seed=plan.seed, include_seen=plan.include_seen)
        yield Progress(name, "choosing settings on validation")
        chosen = yield from choose_settings(
            Tuning(fit=fit, query_time=query_time),
            TYPES[name].space(Catalogue(folds.fit.items, plan.text_encoder)),
            selection,
            name=name,
            validation=folds.validation,
            include_seen=plan.include_seen,
            overrides=plan.overrides.get(name, {}),
        )
        yield Progress(name, f"validation NDCG@10 {chosen.figure:.4f} {chosen}")
        source = fit(selection, chosen.config)
        first = source.exact().part(name)
        yield Progress(name, "fitting with the validation events")
        if not TYPES[name].capabilities.text_only:
            source = fit(replace(selection, dataset=folds.refit), chosen.config)
        final = source.part(name)
        yield TwoStageFit(first, replace(final, figures=final.figures | {"validation_ndcg@10": chosen.figure}))

    def refit_source(part: Part, inputs: FitInputs, _: Plan) -> Iterator[Part]:
        """Fits again; what learns from texts alone stays as it is."""
        is_same = TYPES[part.kind].capabilities.text_only
        yield part if is_same else fit(inputs, fitted_settings(part)).part(part.name)

    return Recipe("histories", train_source, refit_source)


def fitted_on_lists(fit: Callable[[ListInputs], StoredSource | ListEncoder]) -> Recipe:
    """A part of every blend of lists, with settings that are not tuned."""

    def train_part(name: str, inputs: ListInputs, _: Plan) -> Iterator[Progress | Part]:
        yield Progress(name, f"fitting on {len(inputs.lists):,} lists")
        yield fit(inputs).part(name)

    def refit_part(part: Part, inputs: ListInputs, plan: Plan) -> Iterator[Progress | Part]:
        return train_part(part.name, inputs, plan)

    return Recipe("list blend", train_part, refit_part)


def _train_list_neighbours(name: str, inputs: ListInputs, plan: Plan) -> Iterator[Progress | Part]:
    assert inputs.validation is not None
    yield Progress(name, f"comparing settings on {len(inputs.validation):,} lists")
    config = list_sources.choose_neighbours(inputs.lists, inputs.validation, seed=plan.seed)
    yield Progress(name, f"chosen on {len(inputs.validation)} lists: {config}")
    yield fit_list_neighbours(inputs.lists.data, config).part(name)


def _refit_list_neighbours(part: Part, inputs: ListInputs, _: Plan) -> Iterator[Part]:
    yield fit_list_neighbours(inputs.lists.data, fitted_settings(part)).part(part.name)


def _keep(part: Part, _: ListInputs, __: Plan) -> Iterator[Part]:
    yield part


def _train_name_blend(name: str, _: ListInputs, __: Plan) -> Iterator[Part]:
    yield Part(name=name, kind="list-named", config=asdict(NameBlendConfig()), arrays={})


RECIPES: dict[str, Recipe] = {
    "popular": tuned(lambda inputs, config: fit_popular(inputs.dataset, config)),
    "recent": tuned(lambda inputs, config: fit_popular(inputs.dataset, config, kind="recent")),
    "markov": tuned(
        lambda inputs, config: fit_markov(inputs.dataset, config, repeats=inputs.include_seen),
        query_time=ITEM_ITEM,
    ),
    "item-neighbours": tuned(lambda inputs, config: fit_neighbours(inputs.dataset, config), query_time=ITEM_ITEM),
    "ease": tuned(lambda inputs, config: fit_ease(inputs.dataset, config), query_time=ITEM_ITEM),
    "personal": tuned(lambda inputs, config: fit_personal(inputs.dataset, config, seed=inputs.seed)),
    "als": tuned(lambda inputs, config: fit_als(inputs.dataset, config, seed=inputs.seed), query_time=DECAY),
    "bpr": tuned(lambda inputs, config: fit_bpr(inputs.dataset, config, seed=inputs.seed), query_time=SCALE_AND_DECAY),
    "text": tuned(
        lambda inputs, config: fit_text(inputs.text, config, known=inputs.dataset.has_text), query_time=DECAY
    ),
    "lexical": tuned(lambda inputs, config: fit_lexical(inputs.dataset.texts, config), query_time=DECAY),
    "imputed": tuned(lambda inputs, config: fit_imputed(inputs.dataset, inputs.text, config), query_time=DECAY),
    "sasrec": sequence("id"),
    "sasrec-text": sequence("text"),
    "sasrec-hybrid": sequence("hybrid"),
    ITEM_TEXT: Recipe("corpus", train_item_text),
    "list-popular": fitted_on_lists(
        lambda inputs: fit_popular(inputs.lists.data, PopularConfig(), kind="list-popular")
    ),
    "list-neighbours": Recipe("list blend", _train_list_neighbours, _refit_list_neighbours),
    "list-markov": fitted_on_lists(list_sources.fit_list_markov),
    "list-beside": fitted_on_lists(list_sources.fit_list_beside),
    "list-item-neighbours": fitted_on_lists(list_sources.fit_list_item_neighbours),
    "list-als": fitted_on_lists(list_sources.fit_list_als),
    "list-attributes": fitted_on_lists(lambda inputs: fit_list_attributes(inputs.lists, ListAttributesConfig())),
    "list-names": fitted_on_lists(
        lambda inputs: fit_name_neighbours(inputs.lists, NameNeighboursConfig(text_encoder=inputs.text_encoder))
    ),
    "list-spelt": fitted_on_lists(lambda inputs: fit_entity_names(inputs.lists, EntityNameConfig())),
    "list-named": Recipe("list blend", _train_name_blend, _keep),
    "list-mean": fitted_on_lists(list_sources.fit_list_mean),
    "list-weighted": fitted_on_lists(list_sources.fit_list_weighted),
    "playlist-seq2seq": Recipe("playlists", train_playlist_seq2seq, refit_playlist_seq2seq, settings=playlist_recipe),
    "set": Recipe("playlists", train_set, refit_set, settings=set_recipe),
}


def refit_part(part: Part, inputs: Any, plan: Plan) -> Generator[Progress, None, Part]:
    """Yields progress, and returns the part fitted on `inputs` with its own settings."""
    refit = RECIPES[part.kind].refit
    assert refit is not None
    for fact in refit(part, inputs, plan):
        match fact:
            case Part():
                return fact
            case Progress():
                yield fact
    raise AssertionError("a refit ends with its part")


def cold_scores() -> dict[str, float]:
    """The types that cannot know a new item, with the score that they give it: NaN where they give none."""
    scores = {kind: row.capabilities.cold_score for kind, row in TYPES.items() if row.capabilities.answers == "items"}
    return {kind: score for kind, score in scores.items() if score is not None}
