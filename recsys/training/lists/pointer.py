"""The recipe of set completion: a pointer decoder over a trained set encoder learns to write the masked items.

The encoder and the item vectors are frozen. The decoder points at the candidates that the encoder ranks first, as it does when
serving; a target that is not among them replaces the last.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from models.batch import FIRST_ITEM
from models.decoders.pointer import PointerConfig, PointerContext, PointerDecoder
from models.lists import ListModel, SetModel
from models.objectives.order_search import ordered_loss, sampled_order, uniform_order
from recsys.data.collate import collate
from recsys.data.history import Rows
from recsys.retrieval.lists.sets import Pointing, collate_sets
from recsys.training.loop import Epoch, LoopConfig, run
from recsys.training.plan import RunContext


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRecipe:
    """`written` is the maximum of targets of one set, `candidates` how many items the decoder points at. Orders are uniform for
    `warmup` epochs, then sampled from the model."""

    pointer: PointerConfig = field(default_factory=PointerConfig)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(epochs=3, learning_rate=2e-3, clip=2.0))
    warmup: int = 1
    written: int = 4
    candidates: int = 100


@dataclass(frozen=True, slots=True, eq=False)
class MaskedSets:
    """One batch: lists without their masked items (`inputs`), and these distinct items (`targets`)."""

    inputs: list[Rows]
    targets: list[Rows]


def train_pointer(
    recipe: CompletionRecipe,
    model: ListModel[SetModel],
    *,
    batches: Callable[[np.random.Generator], Iterable[MaskedSets]],
    context: RunContext,
) -> Iterator[Epoch | PointerDecoder]:
    """Yields one `Epoch` each, first those with uniform orders, and last the decoder."""
    torch.manual_seed(context.seed)
    decoder = PointerDecoder(recipe.pointer, dim=model.backbone.config.dim).to(context.device)
    objective = _Objective(recipe, decoder, model, context.device)
    for name, epochs, search in (("uniform", recipe.warmup, False), ("search", recipe.loop.epochs, True)):
        objective.search = search
        if not epochs:
            continue
        config = recipe.loop if search else replace(recipe.loop, epochs=epochs, schedule="constant")
        yield from run(
            decoder,
            batches=batches,
            loss=objective,
            validate=None,
            config=config,
            context=context.at(name),
        )
    yield decoder.eval()


class _Objective:
    """-log p of the masked items, in an order sampled from the model or, during warm-up, uniformly."""

    def __init__(
        self, recipe: CompletionRecipe, decoder: PointerDecoder, model: ListModel[SetModel], device: str
    ) -> None:
        self.recipe, self.decoder, self.model, self.device = recipe, decoder, model, device
        self.search = False
        with torch.no_grad():
            self.table = model.eval().table()

    def __call__(self, batch: MaskedSets, generator: np.random.Generator) -> Tensor:
        masked = collate([rows[: self.recipe.written] for rows in batch.targets], device=self.device)
        real = masked.when.real
        items = masked.items - FIRST_ITEM
        seen, positions = self._seen(batch.inputs, torch.where(real, items, items[:, :1]))
        seed = int(generator.integers(2**62))
        if self.search:
            targets = sampled_order(Pointing(self.decoder, seen), positions, real, seed=seed)
        else:
            targets = uniform_order(positions, real, seed=seed)
        rows = torch.arange(len(targets), device=self.device)[:, None]
        previous = torch.cat([self.decoder.first_input(len(targets)), seen.candidates[rows, targets[:, :-1]]], dim=1)
        _, logits = self.decoder(self.decoder.start(seen), previous)
        return ordered_loss(_mask_repeats(logits, targets), targets, real)

    @torch.no_grad()
    def _seen(self, inputs: list[Rows], targets: Tensor) -> tuple[PointerContext, Tensor]:
        """(the decoder's input, the position of each target among its candidates)."""
        sets, count = collate_sets(inputs, device=self.device)
        x = self.model.look_up(self.table, sets.items)
        query = self.model.backbone.queries(x, count, sets.when.real)
        scores = query @ self.table.T
        inside = torch.where(sets.when.real, sets.items, sets.items[:, :1]) - FIRST_ITEM
        scores = scores.scatter(1, inside, torch.finfo(scores.dtype).min)
        forced = scores.scatter(1, targets, torch.inf)
        rows = forced.topk(min(self.recipe.candidates, len(self.table)), dim=1).indices
        scale = self.table.shape[1] ** 0.5
        candidates = self.table[rows] * scale
        seen = PointerContext(query, x, sets.when.real, candidates, scores.gather(1, rows))
        return seen, (rows[:, None] == targets[..., None]).int().argmax(dim=-1)


def _mask_repeats(logits: Tensor, targets: Tensor) -> Tensor:
    """Logits where step t cannot repeat the targets of earlier steps."""
    written = torch.zeros_like(logits, dtype=torch.bool)
    for step in range(1, targets.shape[1]):
        written[:, step:].scatter_(2, targets[:, step - 1, None, None].expand(-1, logits.shape[1] - step, 1), True)
    # padding repeats a target, whose logit stays; its steps do not count
    current = torch.zeros_like(written).scatter_(2, targets[..., None], True)
    return logits.masked_fill(written & ~current, torch.finfo(logits.dtype).min)
