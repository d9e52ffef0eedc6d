"""The recipe of the sequence models: all positions of every history in one pass, epochs chosen on validation.

An item without events is treated like one that comes after the training: it is no negative, has no learned vector of its own, and
is no candidate where epochs are compared. As a negative it would only ever be pushed away from every history.
"""

from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.batch import FIRST_ITEM, MASK, ItemBatch
from models.objectives.gbce import beta, gbce
from models.objectives.softmax import full_softmax, sampled_softmax
from models.pooling.last import last
from recsys.bundle import Part
from recsys.data.collate import collate
from recsys.data.dataset import Dataset
from recsys.data.history import History
from recsys.data.sampling import NegativeSampler
from recsys.data.splits import EvalCases
from recsys.encoders.batching import length_buckets
from recsys.metrics.ranking import dense_ranks, ndcg
from recsys.ranking.filters import over_catalogue
from recsys.training.loop import Epoch, run
from recsys.training.plan import RunContext
from recsys.training.sequence_model import SequenceModel, SequenceRecipe
from recsys.training.svd_init import svd_embeddings

RESIDUAL_START = 0.1
"""Length at which ids start beside a text: longer ones drown it, which costs where histories are short."""

VALIDATION_CASES = 5000
"""Cases that epochs are compared on: enough to tell them apart, few enough to look after each."""


def train(
    recipe: SequenceRecipe,
    *,
    fit: Dataset,
    validation: EvalCases | None,
    text: NDArray[np.float32] | None,
    context: RunContext,
    include_seen: bool = False,
) -> Iterator[Epoch | Part]:
    """Yields one `Epoch` each, and last the trained part. Without `validation` all of `recipe.loop.epochs` are run.

    With `include_seen` items of the history may be answers, in validation as in serving.
    """
    seed, device = context.seed, context.device
    torch.manual_seed(seed)
    vectors = None if text is None or recipe.items == "id" else torch.from_numpy(text).to(device)
    start = None
    if recipe.start == "spectral" and recipe.items != "text":
        start = torch.from_numpy(svd_embeddings(fit, dim=recipe.encoder.dim, seed=seed))
        start *= 1.0 if recipe.items == "id" else RESIDUAL_START
    model = SequenceModel(recipe, items=fit.items, text=vectors, start=start).to(device)
    model.items.clear(torch.from_numpy(np.flatnonzero(~fit.has_events)).to(device))
    validation = None if validation is None else validation.sample(VALIDATION_CASES, seed=seed)
    objective = _Objective(recipe, model, fit, device)
    best = yield from run(
        model,
        batches=lambda generator: _batches(fit, recipe, generator),
        loss=objective,
        validate=None
        if validation is None
        else lambda: _validate(model, validation, fit.has_events, device, include_seen=include_seen),
        config=recipe.loop,
        context=context,
    )
    yield _part(model, fit, epochs=best, context=context)


def for_refit(recipe: SequenceRecipe, *, epochs: int) -> SequenceRecipe:
    """The same recipe, ended after the number of epochs that validation chose, at the learning rates it had there."""
    return replace(recipe, loop=replace(recipe.loop, stop=epochs))


def _batches(dataset: Dataset, recipe: SequenceRecipe, generator: np.random.Generator) -> Iterator[list[History]]:
    """One epoch: every event but the first of each history is a target once."""
    windows = _windows(dataset, max_length=recipe.encoder.max_length, generator=generator)
    lengths = np.array([len(window) for window in windows])
    for batch in length_buckets(lengths, tokens=recipe.tokens, generator=generator):
        yield [windows[i] for i in batch]


def _windows(dataset: Dataset, *, max_length: int, generator: np.random.Generator) -> list[History]:
    """Every history in pieces of at most `max_length` + 1 events (inputs and their targets), each sharing one event.

    A history that fits stays whole. A longer one is cut at another place in each epoch, so that an event is met with a
    longer past one time and a shorter one the next.
    """
    windows = list[History]()
    for history in dataset.histories():
        length, last_piece = len(history), max_length
        if length > max_length + 1:
            last_piece = int(generator.integers(1, max_length + 1))
        cuts = [length, *range(length - last_piece, 1, -max_length), 1]
        windows.extend(history.select(slice(start - 1, end)) for end, start in pairwise(cuts) if end > start)
    return windows


class _Objective:
    """The loss of one batch of windows."""

    def __init__(self, recipe: SequenceRecipe, model: SequenceModel, fit: Dataset, device: str) -> None:
        self.recipe, self.model, self.device, self.items = recipe, model, device, fit.items
        has_events = torch.from_numpy(fit.has_events).to(device)
        self.trained, self.number = (
            torch.from_numpy(np.flatnonzero(fit.has_events)).to(device),
            has_events.cumsum(0) - 1,
        )
        # gBCE's exponent undoes uniform draws, and only these
        proposal = "uniform" if recipe.objective == "gbce" else recipe.negatives_from
        self.sampler = NegativeSampler(fit.counts(), proposal=proposal)
        self.log_q = torch.from_numpy(self.sampler.log_q).to(device)
        self.is_weighted = bool((fit.values != 1).any())

    def __call__(self, windows: list[History], generator: np.random.Generator) -> Tensor:
        batch = collate([window.rows[:-1] for window in windows], device=self.device)
        targets = torch.from_numpy(np.concatenate([window.rows[1:] for window in windows])).to(self.device)
        weights = self._weights(windows) if self.is_weighted else None
        if self.recipe.item_dropout:
            hidden = torch.from_numpy(generator.random(tuple(batch.items.shape)) < self.recipe.item_dropout)
            batch = ItemBatch(batch.items.masked_fill(hidden.to(self.device), MASK), batch.when)
        if self.recipe.objective == "softmax":
            table = self.model.table()
            histories = self.model.histories(table, batch)[batch.when.real]
            classes, targets = table[self.trained], self.number[targets]
            return full_softmax(histories, classes, targets, weights=weights, smoothing=self.recipe.smoothing)
        return self._sampled(batch, targets, weights, generator)

    def _weights(self, windows: list[History]) -> Tensor:
        weights = np.concatenate([window.weights[1:] for window in windows]).astype(np.float32)
        return torch.from_numpy(weights).to(self.device)

    def _sampled(
        self, batch: ItemBatch, targets: Tensor, weights: Tensor | None, generator: np.random.Generator
    ) -> Tensor:
        """Losses over sampled items: embeds only the items of the batch and its negatives, and renumbers both among these."""
        negatives = self.sampler.draw(self.recipe.negatives, generator, targets=targets.cpu().numpy())
        sampled = torch.from_numpy(negatives).to(self.device)
        inputs = (batch.items - FIRST_ITEM).clamp(min=0)
        in_batch = torch.zeros(self.items, dtype=torch.bool, device=self.device)
        for items in (inputs.flatten(), targets, sampled):
            in_batch[items] = True
        rows, number = in_batch.nonzero().squeeze(1), in_batch.cumsum(0) - 1
        targets, sampled = number[targets], number[sampled]
        items = torch.where(batch.items >= FIRST_ITEM, number[inputs] + FIRST_ITEM, batch.items)
        table = self.model.table(rows)
        histories = self.model.histories(table, ItemBatch(items, batch.when))[batch.when.real]
        if self.recipe.objective == "sampled":
            return sampled_softmax(histories, table, targets, sampled, self.log_q[rows], weights=weights)
        positive = (histories * table[targets]).sum(-1)
        items_with_events = len(self.trained)
        exponent = beta(negatives=self.recipe.negatives, items=items_with_events, calibration=self.recipe.calibration)
        scores = (histories @ table[sampled].T).masked_fill(targets[:, None] == sampled, -torch.inf)
        return gbce(positive, scores, beta=exponent, weights=weights)


@torch.inference_mode()
def _validate(
    model: SequenceModel, cases: EvalCases, has_events: NDArray[np.bool_], device: str, *, include_seen: bool
) -> float:
    """Mean NDCG@10 over the items that have events, now or as a target, as it is measured of any part."""
    model.eval()
    table = model.table()
    total, candidates = 0.0, has_events.copy()
    candidates[cases.targets] = True
    for start in range(0, len(cases), 1024):
        block = cases[start : start + 1024]
        rows = [history.rows[-model.recipe.encoder.max_length :] for history in block.histories]
        batch = collate(rows, device=device)
        scores = (last(model.histories(table, batch), batch.when) @ table.T).cpu().numpy()
        queries = over_catalogue(block, items=len(candidates), include_seen=include_seen)
        allowed = np.stack([query.allowed & candidates for query in queries])
        total += ndcg(dense_ranks(scores, block.targets, allowed)).sum()
    return float(total / len(cases))


@torch.inference_mode()
def _part(model: SequenceModel, fit: Dataset, *, epochs: int, context: RunContext) -> Part:
    model.eval()
    recipe = model.recipe
    known = {"id": fit.has_events, "text": fit.has_text, "hybrid": fit.has_events | fit.has_text}
    arrays: dict[str, NDArray[Any]] = {"item_vectors": model.table().cpu().numpy(), "known": known[recipe.items]}
    arrays |= {f"history.{key}": value.cpu().numpy() for key, value in model.encoder.state_dict().items()}
    if model.items.project is not None:
        if model.items.ids is not None:
            arrays["residual"] = model.items.ids.weight[FIRST_ITEM:].cpu().numpy()
        arrays |= {f"text.{key}": value.cpu().numpy() for key, value in model.items.project.state_dict().items()}
    config = {"recipe": asdict(recipe), "epochs": epochs, "seed": context.seed}
    return Part(name=context.name, kind=context.name, config=config, arrays=arrays)
