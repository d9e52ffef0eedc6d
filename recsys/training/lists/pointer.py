"""The recipe of the set completer: a pointer decoder beside a trained set encoder, taught to write what was taken out.

The encoder and the item vectors stand still. What is pointed at are the candidates that the encoder itself puts first, as when
the completer is asked later; a target that is not among them takes the place of the last.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.batch import FIRST_ITEM
from models.decoders.pointer import PointerConfig, PointerDecoder, Seen
from models.lists import ListModel, SetModel
from models.objectives.order_search import ordered_loss, sampled_order, uniform_order
from recsys.data.collate import collate
from recsys.data.history import Rows
from recsys.retrieval.lists.sets import Pointing, collate_sets
from recsys.training.loop import Epoch, LoopConfig, run


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRecipe:
    """`written` is the most that one set is taught to write, `candidates` what there is to point at. Orders are drawn uniformly
    for `warmup` epochs, then from the model."""

    pointer: PointerConfig = field(default_factory=PointerConfig)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(epochs=3, learning_rate=2e-3, clip=2.0))
    warmup: int = 1
    written: int = 4
    candidates: int = 100


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """One batch of lists without the items in `taken`, which are distinct."""

    rest: list[Rows]
    taken: list[Rows]


def train_pointer(
    recipe: CompletionRecipe,
    model: ListModel[SetModel],
    *,
    batches: Callable[[np.random.Generator], Iterable[Taken]],
    seed: int,
    device: str,
    checkpoint: Path | None,
    resume: bool,
) -> Iterator[Epoch | PointerDecoder]:
    """Yields one `Epoch` each, first those with uniform orders, and last the decoder."""
    torch.manual_seed(seed)
    decoder = PointerDecoder(recipe.pointer, dim=model.body.config.dim).to(device)
    objective = _Objective(recipe, decoder, model, device)
    for name, epochs, search in (("uniform", recipe.warmup, False), ("search", recipe.loop.epochs, True)):
        objective.search = search
        place = checkpoint.with_name(f"{checkpoint.stem}-{name}.ckpt") if checkpoint else None
        if not epochs:
            continue
        config = recipe.loop if search else replace(recipe.loop, epochs=epochs, schedule="constant")
        yield from run(
            decoder,
            batches=batches,
            loss=objective,
            validate=None,
            config=config,
            seed=seed,
            checkpoint=place,
            resume=resume,
        )
    yield decoder.eval()


class _Objective:
    """-log p of what was taken out, in the order that is easiest to the model or, at first, in any."""

    def __init__(
        self, recipe: CompletionRecipe, decoder: PointerDecoder, model: ListModel[SetModel], device: str
    ) -> None:
        self.recipe, self.decoder, self.model, self.device = recipe, decoder, model, device
        self.search = False
        with torch.no_grad():
            self.table = model.eval().table()

    def __call__(self, batch: Taken, generator: np.random.Generator) -> Tensor:
        taken = [rows[: self.recipe.written] for rows in batch.taken]
        wanted = collate(taken, device=self.device)
        real = wanted.when.real
        items = wanted.items - FIRST_ITEM
        seen, places = self._seen(batch.rest, torch.where(real, items, items[:, :1]))
        seed = int(generator.integers(2**62))
        if self.search:
            targets = sampled_order(Pointing(self.decoder, seen), places, real, seed=seed)
        else:
            targets = uniform_order(places, real, seed=seed)
        rows = torch.arange(len(targets), device=self.device)[:, None]
        previous = torch.cat([self.decoder.begun(len(targets)), seen.candidates[rows, targets[:, :-1]]], dim=1)
        _, logits = self.decoder(self.decoder.start(seen), previous)
        return ordered_loss(_without_written(logits, targets), targets, real)

    @torch.no_grad()
    def _seen(self, rest: list[Rows], wanted: Tensor) -> tuple[Seen, Tensor]:
        """(what the decoder sees, the place of each of `wanted` among the candidates)."""
        held, count = collate_sets(rest, device=self.device)
        x = self.model.look_up(self.table, held.items)
        query = self.model.body.queries(x, count, held.when.real)
        scores = query @ self.table.T
        inside = torch.where(held.when.real, held.items, held.items[:, :1]) - FIRST_ITEM
        scores = scores.scatter(1, inside, torch.finfo(scores.dtype).min)
        forced = scores.scatter(1, wanted, torch.inf)
        rows = forced.topk(min(self.recipe.candidates, len(self.table)), dim=1).indices
        scale = self.table.shape[1] ** 0.5
        candidates = self.table[rows] * scale
        seen = Seen(query, x, held.when.real, candidates, scores.gather(1, rows))
        return seen, (rows[:, None] == wanted[..., None]).int().argmax(dim=-1)


def _without_written(logits: Tensor, targets: Tensor) -> Tensor:
    """Nothing is written twice: before step t, what was written at earlier steps is out of the question."""
    written = torch.zeros_like(logits, dtype=torch.bool)
    for step in range(1, targets.shape[1]):
        written[:, step:].scatter_(2, targets[:, step - 1, None, None].expand(-1, logits.shape[1] - step, 1), True)
    wanted = torch.zeros_like(written).scatter_(
        2, targets[..., None], True
    )  # padding repeats a target; it counts nothing
    return logits.masked_fill(written & ~wanted, torch.finfo(logits.dtype).min)
