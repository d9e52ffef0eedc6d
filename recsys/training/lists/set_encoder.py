"""The recipe of the order-free list encoder: some items are taken out of a list, and the rest has to tell which.

Which are taken out is drawn anew in each epoch, so that a list is met in many halves. The loss is the sampled softmax of every
item taken out against the list's one vector.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

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
from recsys.training.lists.pointer import CompletionRecipe, Taken, train_pointer
from recsys.training.loop import Epoch, LoopConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRecipe(ListRecipe):
    """`hidden` is the largest share of a list's distinct items that is taken out; at least one item is, and one stays.

    Without `completion` (`false` in a file) the encoder is trained alone, and what completes a set is its own ranking.
    """

    encoder: SetConfig = field(default_factory=SetConfig)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(epochs=15, learning_rate=4e-3, clip=5.0))
    hidden: float = 0.5
    tokens: int = 2048
    completion: CompletionRecipe | None = field(default_factory=CompletionRecipe)


def train_sets(
    recipe: SetRecipe,
    *,
    name: str,
    fit: Dataset,
    validation: Dataset | None,
    text: NDArray[np.float32] | None,
    seed: int,
    device: str = "cpu",
    checkpoint: Path | None = None,
    resume: bool = False,
) -> Iterator[Epoch | Part]:
    """Yields one `Epoch` each, whose figure is minus the validation loss, those of the completer, and last the trained part.

    Raises:
        TrainingError: no item is frequent enough, or the loss is no longer finite.
    """
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
        seed=seed,
        checkpoint=checkpoint,
        resume=resume,
    )
    lists, weights = [history.rows for history in frequent.data.histories()], dict[str, Tensor]()
    if recipe.completion:
        for fact in train_pointer(
            recipe.completion,
            model,
            batches=lambda generator: _batches(lists, recipe, generator),
            seed=seed,
            device=device,
            checkpoint=checkpoint,
            resume=resume,
        ):
            match fact:
                case Epoch():
                    yield fact
                case PointerDecoder():
                    weights = {f"pointer.{key}": value for key, value in fact.state_dict().items()}
    config = {"recipe": asdict(recipe), "epochs": best, "seed": seed, "items": len(frequent.rows)}
    encoder = SetListEncoder.trained(
        model,
        rows=frequent.rows,
        items=fit.items,
        text=text,
        config=config,
        more=weights,
    )
    figures = {} if validation is None else {"validation_ndcg@10": next_item_ndcg(encoder, validation)}
    if validation is not None and recipe.completion:
        figures |= completion_recall(encoder, validation, candidates=recipe.completion.candidates, seed=seed)
    yield encoder.part(name, figures=figures)


def _batches(lists: list[Rows], recipe: SetRecipe, generator: np.random.Generator) -> Iterator[Taken]:
    """One epoch: each list of two or more distinct items once."""
    pairs = [_taken(rows, recipe, generator) for rows in lists if len(np.unique(rows[: recipe.encoder.max_length])) > 1]
    lengths = np.array([len(rest) for rest, _ in pairs])
    for batch in length_buckets(lengths, tokens=recipe.tokens, generator=generator):
        yield Taken([pairs[i][0] for i in batch], [pairs[i][1] for i in batch])


def _taken(rows: Rows, recipe: SetRecipe, generator: np.random.Generator) -> tuple[Rows, Rows]:
    """(what stays, the distinct items taken out); a long list is first cut to a random window."""
    start = int(generator.integers(0, max(1, len(rows) - recipe.encoder.max_length + 1)))
    rows = rows[start : start + recipe.encoder.max_length]
    distinct = generator.permutation(np.unique(rows))
    if len(distinct) < 2:
        return rows, distinct[:0]
    most = max(1, int(recipe.hidden * len(distinct)))
    out = distinct[: int(generator.integers(1, most + 1))]
    return rows[~np.isin(rows, out)], out


class _Objective:
    """Mean cross-entropy of the items taken out."""

    def __init__(self, recipe: SetRecipe, model: ListModel[SetModel], frequent: FrequentItems, device: str) -> None:
        self.model, self.device = model, device
        self.sampled = SharedNegatives(frequent.data.counts(), negatives=recipe.negatives, device=device)

    def __call__(self, batch: Taken, generator: np.random.Generator) -> Tensor:
        items, count = collate_sets(batch.rest, device=self.device)
        owner = torch.from_numpy(np.repeat(np.arange(len(batch.taken)), [len(rows) for rows in batch.taken]))
        wanted = torch.from_numpy(np.concatenate(batch.taken)).to(self.device)
        real = items.items[items.when.real] - FIRST_ITEM
        classes, place, drawn = self.sampled.meet(generator, rows=(real, wanted))
        table = self.model.table(classes)
        x = self.model.look_up(table, remap(items.items, place))
        queries = self.model.body.queries(x, count, items.when.real)[owner.to(self.device)]
        return sampled_softmax(queries, table, place[wanted], place[drawn], self.sampled.log_q[classes])
