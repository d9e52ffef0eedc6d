"""The recipes of the list encoders: settings, training, figures on validation lists."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.encoders.deep_sets import DeepSetsConfig
from models.encoders.set_process import ProcessConfig
from models.encoders.set_transformer import SetTransformerConfig
from models.encoders.sets import SetPooling
from recsys.bundle import Part
from recsys.data.dataset import Dataset
from recsys.data.playlists import Playlists, split_playlists
from recsys.errors import InvalidRequest
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.stored_settings import stored_settings
from recsys.training.lists.common import ListRecipe
from recsys.training.lists.seq2seq import PlaylistRecipe, train_playlists
from recsys.training.lists.set_encoder import SetRecipe, train_sets
from recsys.training.loop import Epoch
from recsys.training.overrides import overridden
from recsys.training.plan import Plan, Progress

POOLINGS: dict[str, SetPooling] = {
    "process": ProcessConfig(),
    "deep-sets": DeepSetsConfig(),
    "attention": SetTransformerConfig(),
}
DEFAULT = "attention"
"""The `pooling` of a recipe whose table does not set it."""

AnyListRecipe = TypeVar("AnyListRecipe", bound=ListRecipe)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncoderInputs:
    """The lists that an encoder learns from, and the text vectors (items, text_dim) of the catalogue, where it reads them."""

    lists: Playlists
    text: NDArray[np.float32] | None

    @property
    def item_ids(self) -> tuple[str, ...]:
        return self.lists.data.item_ids

    @property
    def texts(self) -> tuple[str, ...]:
        return self.lists.data.texts

    @property
    def domains(self) -> tuple[str | None, ...]:
        return self.lists.data.domains

    def data_window(self, _: Part) -> dict[str, Any]:
        """What the data was."""
        data = self.lists.data
        sizes = {"lists": len(self.lists), "items": data.items, "events": len(data.rows)}
        return sizes | {"hash": data.hash, "events_hash": data.events_hash}


def playlist_recipe(name: str, plan: Plan) -> PlaylistRecipe:
    """The settings of `playlist-seq2seq`: items by id and text, unless the plan's file says otherwise.

    Raises:
        InvalidRequest: a setting that does not exist.
    """
    recipe = PlaylistRecipe(items="hybrid", text_encoder=plan.text_encoder)
    return _overridden(recipe, dict(plan.overrides.get(name, {})), name, plan)


def set_recipe(name: str, plan: Plan) -> SetRecipe:
    """The settings of `set`; its `pooling` is the name of one of `POOLINGS`, and `completion = false` trains no pointer.

    Raises:
        InvalidRequest: a setting that does not exist.
    """
    table = dict(plan.overrides.get(name, {}))
    if (pooling := table.pop("pooling", DEFAULT)) not in POOLINGS:
        raise InvalidRequest(f"[{name}] pooling={pooling!r}: choose one of {', '.join(POOLINGS)}")
    recipe = SetRecipe(items="hybrid", text_encoder=plan.text_encoder)
    recipe = replace(recipe, encoder=replace(recipe.encoder, pooling=POOLINGS[pooling]))
    if table.get("completion") is False:
        del table["completion"]
        recipe = replace(recipe, completion=None)
    return _overridden(recipe, table, name, plan)


def train_playlist_seq2seq(name: str, inputs: EncoderInputs, plan: Plan) -> Iterator[Progress | Part]:
    """Yields progress, and last the part. Epochs are chosen on the validation lists.

    Raises:
        InvalidRequest: a setting that does not exist.
        TrainingError: a run that cannot go on.
    """
    yield from _train(name, inputs, plan, playlist_recipe(name, plan), train_playlists)


def refit_playlist_seq2seq(part: Part, inputs: EncoderInputs, plan: Plan) -> Iterator[Progress | Part]:
    """Yields progress, and last the part trained on all lists, for as many epochs as `part` was."""
    recipe = stored_settings(PlaylistRecipe, part.config["recipe"], where=part.name)
    yield from _refit(part, inputs, plan, recipe, train_playlists)


def train_set(name: str, inputs: EncoderInputs, plan: Plan) -> Iterator[Progress | Part]:
    """As `train_playlist_seq2seq`, for the encoder of sets."""
    yield from _train(name, inputs, plan, set_recipe(name, plan), train_sets)


def refit_set(part: Part, inputs: EncoderInputs, plan: Plan) -> Iterator[Progress | Part]:
    """As `refit_playlist_seq2seq`, for the encoder of sets."""
    recipe = stored_settings(SetRecipe, part.config["recipe"], where=part.name)
    yield from _refit(part, inputs, plan, recipe, train_sets)


def _train(
    name: str, inputs: EncoderInputs, plan: Plan, recipe: AnyListRecipe, train: Callable[..., Iterator[Epoch | Part]]
) -> Iterator[Progress | Part]:
    folds = split_playlists(inputs.lists)
    validation = folds.validation.data if len(folds.validation) else None
    facts = train(recipe, fit=folds.fit.data, validation=validation, text=inputs.text, context=plan.context(name))
    yield from _progress(name, facts, folds.fit.data, recipe)


def _refit(
    part: Part, inputs: EncoderInputs, plan: Plan, recipe: AnyListRecipe, train: Callable[..., Iterator[Epoch | Part]]
) -> Iterator[Progress | Part]:
    recipe = replace(recipe, loop=replace(recipe.loop, stop=int(part.config["epochs"])))
    context = replace(plan, seed=int(part.config["seed"])).context(part.name.removeprefix(PREFIX)).at("deploy")
    data = inputs.lists.data
    facts = train(
        recipe, fit=data, validation=None, text=None if recipe.items == "id" else inputs.text, context=context
    )
    yield from _progress(part.name, facts, data, recipe)


def _overridden(recipe: AnyListRecipe, table: dict[str, Any], name: str, plan: Plan) -> AnyListRecipe:
    recipe = overridden(recipe, table, where=name)
    if plan.epochs:
        recipe = replace(recipe, loop=replace(recipe.loop, epochs=plan.epochs))
    return replace(recipe, text_encoder=None) if recipe.items == "id" else recipe


def _progress(name: str, facts: Iterator[Epoch | Part], fit: Dataset, recipe: ListRecipe) -> Iterator[Progress | Part]:
    """The epochs of a training as progress, and its part."""
    for fact in facts:
        match fact:
            case Epoch():
                yield Progress(name, _describe(fact, events=len(fit.rows)))
            case Part():
                counts = fit.counts()
                rare = int(((counts > 0) & (counts < recipe.min_count)).sum())
                frequent = f"{fact.config['items']:,} items have an id of their own"
                yield Progress(name, f"{frequent}; {rare:,} stand in fewer than {recipe.min_count} places")
                yield fact


def _describe(epoch: Epoch, *, events: int) -> str:
    """One line on an epoch: loss, validation loss, rate."""
    figure = "" if epoch.figure is None else f", validation loss {-epoch.figure:.3f} (best: epoch {epoch.best})"
    rate = f"{epoch.seconds:.1f} s, {events / epoch.seconds:,.0f} events/s"
    return f"epoch {epoch.number}, loss {epoch.loss:.3f}{figure}, {rate}"
