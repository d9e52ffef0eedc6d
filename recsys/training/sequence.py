"""The recipe of the sequence models: all positions of every history in one pass, epochs chosen on validation."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from math import inf
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from models.batch import FIRST_ITEM, MASK, ItemBatch
from models.embeddings import ItemEmbedding, ItemKind
from models.encoders.sequence import SequenceConfig, SequenceEncoder
from models.objectives.gbce import beta, gbce
from models.objectives.softmax import full_softmax, sampled_softmax
from models.pooling.last import last
from recsys.bundle import Part
from recsys.data.collate import collate
from recsys.data.dataset import Dataset
from recsys.data.history import History
from recsys.data.sampling import NegativeSampler, Proposal
from recsys.data.splits import EvalCases
from recsys.encoders.batching import length_buckets
from recsys.errors import check_ranges
from recsys.metrics.ranking import dense_ranks, ndcg
from recsys.ranking.filters import over_catalogue
from recsys.training.loop import Epoch, LoopConfig, run
from recsys.training.plan import RunContext
from recsys.training.svd_init import svd_embeddings

RESIDUAL_START = 0.1
"""Length at which ids start beside a text: longer ones drown it, which costs where histories are short."""

VALIDATION_CASES = 5000
"""Cases that epochs are compared on: enough to tell them apart, few enough to look after each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceRecipe:
    """How a sequence model is built and trained. `negatives` counts shared draws of the sampled losses."""

    items: ItemKind = "id"
    encoder: SequenceConfig = field(default_factory=SequenceConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    objective: Literal["softmax", "sampled", "gbce"] = "softmax"
    negatives: int = 512
    negatives_from: Proposal = "popular"
    calibration: float = 0.75
    smoothing: float = 0.0
    temperature: float | None = None
    id_dropout: float = 0.1
    item_dropout: float = 0.0
    start: Literal["random", "spectral"] = "spectral"
    tokens: int = 4096
    text_encoder: str | None = None

    def __post_init__(self) -> None:
        check_ranges(self, negatives=(1, inf), tokens=(1, inf))
        check_ranges(self, calibration=(0, 1), smoothing=(0, 1), id_dropout=(0, 1), item_dropout=(0, 1))
        if self.temperature is not None:
            check_ranges(self, temperature=(1e-3, inf))


class SequenceModel(nn.Module):
    """Item vectors and the encoder over them; with a temperature, both sides are of unit length."""

    def __init__(
        self,
        recipe: SequenceRecipe,
        *,
        items: int,
        text: Float[Tensor, "items text_dim"] | None,
        start: Float[Tensor, "items dim"] | None = None,
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.items = ItemEmbedding(
            items=items,
            dim=recipe.encoder.dim,
            kind=recipe.items,
            text=text,
            id_dropout=recipe.id_dropout,
            start=start,
        )
        self.encoder = SequenceEncoder(recipe.encoder)

    def histories(self, table: Float[Tensor, "items dim"], batch: ItemBatch) -> Float[Tensor, "batch time dim"]:
        """History vectors, scaled so that an inner product with the item's vector is the logit."""
        x = self.encoder(self.items.look_up(table, batch.items) * table.shape[1] ** 0.5, batch.when)
        return x if self.recipe.temperature is None else nn.functional.normalize(x, dim=-1) / self.recipe.temperature

    def table(self, rows: Int[Tensor, " rows"] | None = None) -> Float[Tensor, "items dim"]:
        """Vectors of all items, or of `rows` alone."""
        table = self.items.table(rows)
        return table if self.recipe.temperature is None else nn.functional.normalize(table, dim=-1)


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
    validation = None if validation is None else validation.sample(VALIDATION_CASES, seed=seed)
    objective = _Objective(recipe, model, fit, device)
    best = yield from run(
        model,
        batches=lambda generator: _batches(fit, recipe, generator),
        loss=objective,
        validate=None
        if validation is None
        else lambda: _validate(model, validation, fit.items, device, include_seen=include_seen),
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
            return full_softmax(histories, table, targets, weights=weights, smoothing=self.recipe.smoothing)
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
        exponent = beta(negatives=self.recipe.negatives, items=self.items, calibration=self.recipe.calibration)
        scores = (histories @ table[sampled].T).masked_fill(targets[:, None] == sampled, -torch.inf)
        return gbce(positive, scores, beta=exponent, weights=weights)


@torch.inference_mode()
def _validate(model: SequenceModel, cases: EvalCases, items: int, device: str, *, include_seen: bool) -> float:
    """Mean NDCG@10 over the whole catalogue, as it is measured of any part."""
    model.eval()
    table = model.table()
    total = 0.0
    for start in range(0, len(cases), 1024):
        block = cases[start : start + 1024]
        rows = [history.rows[-model.recipe.encoder.max_length :] for history in block.histories]
        batch = collate(rows, device=device)
        scores = (last(model.histories(table, batch), batch.when) @ table.T).cpu().numpy()
        queries = over_catalogue(block, items=items, include_seen=include_seen)
        allowed = np.stack([query.allowed for query in queries])
        total += ndcg(dense_ranks(scores, block.targets, allowed)).sum()
    return float(total / len(cases))


@torch.inference_mode()
def _part(model: SequenceModel, fit: Dataset, *, epochs: int, context: RunContext) -> Part:
    model.eval()
    recipe = model.recipe
    known = {"id": fit.counts() > 0, "text": fit.has_text, "hybrid": np.ones(fit.items, dtype=np.bool_)}
    arrays: dict[str, NDArray[Any]] = {"item_vectors": model.table().cpu().numpy(), "known": known[recipe.items]}
    arrays |= {f"history.{key}": value.cpu().numpy() for key, value in model.encoder.state_dict().items()}
    if model.items.project is not None:
        if model.items.ids is not None:
            arrays["residual"] = model.items.ids.weight[FIRST_ITEM:].cpu().numpy()
        arrays |= {f"text.{key}": value.cpu().numpy() for key, value in model.items.project.state_dict().items()}
    config = {"recipe": asdict(recipe), "epochs": epochs, "seed": context.seed}
    return Part(name=context.name, kind=context.name, config=config, arrays=arrays)
