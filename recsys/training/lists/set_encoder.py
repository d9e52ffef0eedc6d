"""The recipe of the order-free list encoder: some items of a list are masked, and the vector of the others predicts them.

The masked items are sampled anew in each epoch, so that a list is split in many ways. The loss is the sampled softmax of every
masked item against the list's one vector.
"""

from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.batch import FIRST_ITEM
from models.decoders.pointer import PointerDecoder
from models.encoders.sets import SetConfig
from models.lists import ListModel, SetModel
from models.objectives.softmax import sampled_softmax
from recsys.bundle import Part
from recsys.data.dataset import Dataset
from recsys.data.history import Rows
from recsys.encoders.batching import length_buckets
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.sets import SetListEncoder, collate_sets
from recsys.training.lists.common import (
    FrequentItems,
    ListRecipe,
    SharedNegatives,
    completion_recall,
    item_embedding,
    next_item_ndcg,
    remap,
    train_lists,
)
from recsys.training.lists.pointer import CompletionRecipe, MaskedSets, train_pointer
from recsys.training.loop import Epoch, LoopConfig
from recsys.training.plan import RunContext


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRecipe(ListRecipe):
    """`hidden` is the largest share of a list's distinct items that is masked; at least one item is, and one is not.

    Without `completion` (`false` in a file) the encoder is trained alone, and its ranking completes sets.
    """

    encoder: SetConfig = field(default_factory=SetConfig)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(epochs=15, learning_rate=4e-3, clip=5.0))
    hidden: float = 0.5
    tokens: int = 2048
    completion: CompletionRecipe | None = field(default_factory=CompletionRecipe)


def train_sets(
    recipe: SetRecipe,
    *,
    fit: Dataset,
    validation: Dataset | None,
    text: NDArray[np.float32] | None,
    context: RunContext,
) -> Iterator[Epoch | Part]:
    """Yields an `Epoch` each, whose figure is minus the validation loss, those of the pointer, and last the trained part.

    Raises:
        TrainingError: no item is frequent enough, or the loss is no longer finite.
    """
    seed, device = context.seed, context.device
    torch.manual_seed(seed)
    frequent = FrequentItems.of(fit, min_count=recipe.min_count)
    items = item_embedding(recipe, frequent, dim=recipe.encoder.dim, text=text, seed=seed)
    model = ListModel(items, SetModel(recipe.encoder, temperature=recipe.temperature)).to(device)
    best = yield from train_lists(
        model,
        frequent,
        batches=lambda lists, generator: _batches(lists, recipe, generator),
        loss=_Objective(recipe, model, frequent, device),
        validation=validation,
        config=recipe.loop,
        context=context,
    )
    weights = yield from _train_completion(recipe, model, frequent, context)
    config = {"recipe": asdict(recipe), "epochs": best, "seed": seed, "items": len(frequent.rows)}
    encoder = SetListEncoder.trained(
        model,
        rows=frequent.rows,
        items=fit.items,
        text=text,
        has_text=fit.has_text,
        config=config,
        more=weights,
    )
    figures = {} if validation is None else {"validation_ndcg@10": next_item_ndcg(encoder, validation)}
    if validation is not None and recipe.completion:
        figures |= completion_recall(encoder, validation, candidates=recipe.completion.candidates, seed=seed)
    yield encoder.part(f"{PREFIX}{context.name}", figures=figures)


def _train_completion(
    recipe: SetRecipe, model: ListModel[SetModel], frequent: FrequentItems, context: RunContext
) -> Generator[Epoch, None, dict[str, Tensor]]:
    """Trains the pointer decoder, where the recipe has one, and returns its weights."""
    if recipe.completion is None:
        return {}
    lists = [history.rows for history in frequent.data.histories()]
    for fact in train_pointer(
        recipe.completion,
        model,
        batches=lambda generator: _batches(lists, recipe, generator),
        context=context,
    ):
        match fact:
            case Epoch():
                yield fact
            case PointerDecoder():
                return {f"pointer.{key}": value for key, value in fact.state_dict().items()}
    raise AssertionError("the training of a pointer ends with it")


def _batches(lists: list[Rows], recipe: SetRecipe, generator: np.random.Generator) -> Iterator[MaskedSets]:
    """One epoch: each list of two or more distinct items once."""
    sets = [_mask(rows, recipe, generator) for rows in lists if len(np.unique(rows[: recipe.encoder.max_length])) > 1]
    lengths = np.array([len(inputs) for inputs, _ in sets])
    for batch in length_buckets(lengths, tokens=recipe.tokens, generator=generator):
        yield MaskedSets([sets[i][0] for i in batch], [sets[i][1] for i in batch])


def _mask(rows: Rows, recipe: SetRecipe, generator: np.random.Generator) -> tuple[Rows, Rows]:
    """(the input, the distinct masked items); a long list is first cut to a random window."""
    start = int(generator.integers(0, max(1, len(rows) - recipe.encoder.max_length + 1)))
    rows = rows[start : start + recipe.encoder.max_length]
    distinct = generator.permutation(np.unique(rows))
    if len(distinct) < 2:
        return rows, distinct[:0]
    max_masked = max(1, int(recipe.hidden * len(distinct)))
    masked = distinct[: int(generator.integers(1, max_masked + 1))]
    return rows[~np.isin(rows, masked)], masked


class _Objective:
    """Mean cross-entropy of the masked items."""

    def __init__(self, recipe: SetRecipe, model: ListModel[SetModel], frequent: FrequentItems, device: str) -> None:
        self.model, self.device = model, device
        self.sampled = SharedNegatives(frequent.data.counts(), negatives=recipe.negatives, device=device)

    def __call__(self, batch: MaskedSets, generator: np.random.Generator) -> Tensor:
        items, count = collate_sets(batch.inputs, device=self.device)
        owner = torch.from_numpy(np.repeat(np.arange(len(batch.targets)), [len(rows) for rows in batch.targets]))
        targets = torch.from_numpy(np.concatenate(batch.targets)).to(self.device)
        real = items.items[items.when.real] - FIRST_ITEM
        classes, positions, negatives = self.sampled.sample(generator, rows=(real, targets))
        table = self.model.table(classes)
        x = self.model.look_up(table, remap(items.items, positions))
        queries = self.model.backbone.queries(x, count, items.when.real)[owner.to(self.device)]
        log_q = self.sampled.log_q[classes]
        return sampled_softmax(queries, table, positions[targets], positions[negatives], log_q)
