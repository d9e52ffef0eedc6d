"""The recipe of the order-aware list encoder: batches reconstruct lists from their vectors, or continue them.

An autoencoder alone learns to repeat; in a share `onward` of the batches the encoder reads the beginning of a list and the
decoder writes the rest, as in continuation. Both tasks train the same vector.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.batch import FIRST_ITEM, ItemBatch
from models.encoders.seq2seq import PlaylistConfig
from models.lists import CONTINUE, EOS, RECONSTRUCT, ListModel, PlaylistModel
from models.objectives.softmax import sampled_softmax
from recsys.bundle import Part
from recsys.data.collate import collate
from recsys.data.dataset import Dataset
from recsys.data.history import Rows
from recsys.encoders.batching import length_buckets
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.seq2seq import Seq2seqListEncoder
from recsys.training.lists.common import (
    FrequentItems,
    ListRecipe,
    SharedNegatives,
    item_embedding,
    next_item_ndcg,
    remap,
    train_lists,
)
from recsys.training.loop import Epoch, LoopConfig
from recsys.training.plan import RunContext


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaylistRecipe(ListRecipe):
    """How the encoder is built and trained. `onward` is the share of batches that continue lists."""

    encoder: PlaylistConfig = field(default_factory=PlaylistConfig)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(epochs=6, learning_rate=2e-3, clip=5.0))
    onward: float = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One batch: lists to encode and to decode; these are the same (`RECONSTRUCT`) or the rest of them (`CONTINUE`)."""

    sources: list[Rows]
    targets: list[Rows]
    begins: int


def train_playlists(
    recipe: PlaylistRecipe,
    *,
    fit: Dataset,
    validation: Dataset | None,
    text: NDArray[np.float32] | None,
    context: RunContext,
) -> Iterator[Epoch | Part]:
    """Yields one `Epoch` each, whose figure is minus the validation loss, and last the trained part.

    Raises:
        TrainingError: no item is frequent enough, or the loss is no longer finite.
    """
    seed, device = context.seed, context.device
    torch.manual_seed(seed)
    frequent = FrequentItems.of(fit, min_count=recipe.min_count)
    items = item_embedding(recipe, frequent, dim=recipe.encoder.dim, text=text, seed=seed)
    model = ListModel(items, PlaylistModel(recipe.encoder, temperature=recipe.temperature)).to(device)
    best = yield from train_lists(
        model,
        frequent,
        batches=lambda lists, generator: _tasks(lists, recipe, generator),
        loss=_Objective(recipe, model, frequent, device),
        validation=validation,
        config=recipe.loop,
        context=context,
    )
    config = {"recipe": asdict(recipe), "epochs": best, "seed": seed, "items": len(frequent.rows)}
    encoder = Seq2seqListEncoder.trained(
        model, rows=frequent.rows, items=fit.items, text=text, has_text=fit.has_text, config=config
    )
    figures = {} if validation is None else {"validation_ndcg@10": next_item_ndcg(encoder, validation)}
    yield encoder.part(f"{PREFIX}{context.name}", figures=figures)


def _tasks(lists: list[Rows], recipe: PlaylistRecipe, generator: np.random.Generator) -> Iterator[Task]:
    """One epoch: each list once (a long one in a window of `max_length`), reconstructed or cut in two and continued."""
    windows = [_window(rows, recipe.encoder.max_length, generator) for rows in lists if len(rows)]
    lengths = np.array([len(rows) for rows in windows])
    for batch in length_buckets(lengths, tokens=recipe.tokens, generator=generator):
        chosen = [windows[i] for i in batch]
        longest = max(map(len, chosen))
        if longest > 1 and generator.random() < recipe.onward:
            share = generator.random()  # alike in the batch, so that little is padded
            chosen = [rows for rows in chosen if len(rows) > 1]
            cuts = [min(len(rows) - 1, 1 + int(share * (len(rows) - 1))) for rows in chosen]
            before, after = ([rows[a:b] for rows, a, b in spans] for spans in _halves(chosen, cuts))
            yield Task(before, after, CONTINUE)
        else:
            yield Task(chosen, chosen, RECONSTRUCT)


def _halves(chosen: list[Rows], cuts: list[int]) -> tuple[list[tuple[Rows, int, int]], list[tuple[Rows, int, int]]]:
    before = [(rows, 0, cut) for rows, cut in zip(chosen, cuts, strict=True)]
    return before, [(rows, cut, len(rows)) for rows, cut in zip(chosen, cuts, strict=True)]


def _window(rows: Rows, length: int, generator: np.random.Generator) -> Rows:
    start = int(generator.integers(0, max(1, len(rows) - length + 1)))
    return rows[start : start + length]


class _Objective:
    """Mean cross-entropy of every decoded item, and of the end where a list is reconstructed."""

    def __init__(
        self, recipe: PlaylistRecipe, model: ListModel[PlaylistModel], frequent: FrequentItems, device: str
    ) -> None:
        self.model, self.device, self.end = model, device, len(frequent.rows)
        counts = np.append(frequent.data.counts(), len(frequent.data))
        self.sampled = SharedNegatives(counts, negatives=recipe.negatives, device=device)

    def __call__(self, task: Task, generator: np.random.Generator) -> Tensor:
        source, target = (collate(rows, device=self.device) for rows in (task.sources, task.targets))
        targets, counted = self._targets(target, ends=task.begins == RECONSTRUCT)
        classes, positions, negatives = self.sampled.sample(
            generator,
            rows=(source.items[source.when.real] - FIRST_ITEM, targets[counted], targets.new_tensor([self.end])),
        )
        items = self.model.table(classes[:-1])
        body = self.model.backbone
        table = torch.cat([items, body.task_embedding(EOS)[None]])
        encoded = body.encoder(self.model.look_up(items, remap(source.items, positions)), source.when)
        decoded = self.model.look_up(items, remap(target.items, positions))
        queries = body.queries(encoded, task.begins, decoded)[counted]
        log_q = self.sampled.log_q[classes]
        return sampled_softmax(queries, table, positions[targets[counted]], positions[negatives], log_q)

    def _targets(self, target: ItemBatch, *, ends: bool) -> tuple[Tensor, Tensor]:
        """(the class to predict at each query, which queries count): each item, and the end after the last."""
        real = target.when.real
        after = real.new_zeros(len(real), 1)
        lengths = real.sum(dim=1, keepdim=True)
        targets = torch.cat([target.items - FIRST_ITEM, target.items.new_zeros(len(real), 1)], dim=1)
        counted = torch.cat([real, after], dim=1)
        targets = targets.scatter(1, lengths, self.end)
        return targets, counted.scatter(1, lengths, torch.full_like(lengths, ends, dtype=torch.bool))
