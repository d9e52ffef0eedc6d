"""How sequence models become parts: trained with epochs chosen on validation, and again for as many."""

from collections.abc import Generator, Iterator
from dataclasses import replace

from models.embeddings import ItemKind
from models.encoders.sequence import SequenceConfig
from recsys.bundle import Part
from recsys.data.splits import EvalCases
from recsys.retrieval.registry import restore_source
from recsys.retrieval.stored_settings import stored_settings
from recsys.training.loop import Epoch, LoopConfig
from recsys.training.overrides import overridden
from recsys.training.plan import Plan, Progress
from recsys.training.recipe_types import HistoryInputs, Recipe, TwoStageFit
from recsys.training.sequence import VALIDATION_CASES, for_refit, train
from recsys.training.sequence_model import SequenceRecipe
from recsys.training.sequence_search import search_size
from recsys.training.tuning import FitInputs, ndcg_at_10

FULL_SOFTMAX_ITEMS = 6000
"""Up to this many items with events the loss runs over all of them."""


def sequence(items: ItemKind) -> Recipe:
    """A sequence encoder over items by id, text or both: epochs are chosen on validation, and the refit runs as many."""

    def train_sequence(name: str, inputs: HistoryInputs, plan: Plan) -> Iterator[Progress | TwoStageFit]:
        folds = inputs.folds
        items_with_events = int(folds.fit.has_events.sum())
        recipe = sequence_recipe(name, items, plan, items_with_events=items_with_events)
        fitted = FitInputs(dataset=folds.fit, text=inputs.text, seed=plan.seed, include_seen=plan.include_seen)
        if items_with_events > FULL_SOFTMAX_ITEMS:
            recipe = yield from _searched(name, recipe, fitted, folds.validation, plan)
        selection = yield from _sequence_part(name, recipe, fitted, plan, stage="fit", validation=folds.validation)
        refitted = replace(fitted, dataset=folds.refit)
        refit = yield from _sequence_part(name, _repeated(selection), refitted, plan, stage="refit")
        cases = folds.validation.sample(VALIDATION_CASES, seed=plan.seed)
        source = restore_source(selection)
        figure = ndcg_at_10(source, cases, items=folds.fit.items, include_seen=plan.include_seen).mean()
        yield TwoStageFit(selection, replace(_indexed(refit), figures={"validation_ndcg@10": float(figure)}))

    def refit_sequence(part: Part, inputs: FitInputs, plan: Plan) -> Iterator[Progress | Part]:
        seeded = replace(plan, seed=int(part.config["seed"]))
        yield _indexed((yield from _sequence_part(part.name, _repeated(part), inputs, seeded, stage="deploy")))

    return Recipe("histories", train_sequence, refit_sequence)


def _searched(
    name: str, recipe: SequenceRecipe, inputs: FitInputs, validation: EvalCases, plan: Plan
) -> Generator[Progress, None, SequenceRecipe]:
    """As `search_size`, with trials that are trained as the part itself is."""

    def trial(
        recipe: SequenceRecipe, inputs: FitInputs, cases: EvalCases, stage: str
    ) -> Generator[Progress, None, Part]:
        return _sequence_part(name, recipe, inputs, plan, stage=stage, validation=cases)

    return (yield from search_size(recipe, inputs, validation, plan, name=name, train=trial))


def _sequence_part(
    name: str, recipe: SequenceRecipe, inputs: FitInputs, plan: Plan, *, stage: str, validation: EvalCases | None = None
) -> Generator[Progress, None, Part]:
    """Yields the epochs of one training, and returns its part."""
    data, context = inputs.dataset, plan.context(name).at(stage)
    for fact in train(
        recipe, fit=data, validation=validation, text=inputs.text, context=context, include_seen=inputs.include_seen
    ):
        match fact:
            case Part():
                return fact
            case Epoch():
                yield Progress(name, _describe(fact, stage, events=len(data.rows)))
    raise AssertionError("a training ends with its part")


def _repeated(part: Part) -> SequenceRecipe:
    """The recipe of `part`, ended after the epochs that were chosen for it."""
    recipe = stored_settings(SequenceRecipe, part.config["recipe"], where=part.name)
    return for_refit(recipe, epochs=int(part.config["epochs"]))


def _indexed(part: Part) -> Part:
    """The same with the graph of a large catalogue, which takes long to build."""
    return restore_source(part).part(part.name)


def sequence_recipe(name: str, items: ItemKind, plan: Plan, *, items_with_events: int) -> SequenceRecipe:
    """The settings of a sequence encoder; beyond `FULL_SOFTMAX_ITEMS` items that can be negatives these are sampled."""
    large = items_with_events > FULL_SOFTMAX_ITEMS
    settings = SequenceRecipe(
        items=items,
        encoder=SequenceConfig(dropout=0.3),
        loop=LoopConfig(epochs=plan.epochs or (8 if large else 10), learning_rate=4e-3 if large else 7e-3),
        objective="sampled" if large else "softmax",
        negatives=1024,
        temperature=0.07 if large else 0.1,
        tokens=2048 if large else 512,
        text_encoder=None if items == "id" else plan.text_encoder,
    )
    return overridden(settings, plan.overrides.get(name, {}), where=name)


def _describe(epoch: Epoch, stage: str, *, events: int) -> str:
    """One line on an epoch: loss, validation figure, rate."""
    figure = "" if epoch.figure is None else f", validation NDCG@10 {epoch.figure:.4f} (best: epoch {epoch.best})"
    rate = f"{epoch.seconds:.1f} s, {events / epoch.seconds:,.0f} events/s"
    return f"{stage} epoch {epoch.number}, loss {epoch.loss:.3f}{figure}, {rate}"
