"""The recipe of the sequence models: all positions of every history in one pass, epochs chosen on validation."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from models.batch import FIRST_ITEM, ItemBatch
from models.embeddings import ItemEmbedding, ItemKind
from models.encoders.sequence import SequenceConfig, SequenceEncoder
from models.objectives.gbce import beta, gbce
from models.objectives.softmax import full_softmax, sampled_softmax
from models.pooling.last import last
from recsys.bundle import Part
from recsys.data.cases import Cases
from recsys.data.collate import collate, length_buckets
from recsys.data.dataset import Dataset
from recsys.data.sampling import NegativeSampler
from recsys.evaluation.metrics import dense_ranks, ndcg
from recsys.training.loop import Epoch, LoopConfig, run


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceRecipe:
    """How a sequence model is built and trained. `negatives` counts shared draws of the sampled losses."""

    items: ItemKind = "id"
    encoder: SequenceConfig = field(default_factory=SequenceConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    objective: Literal["softmax", "sampled", "gbce"] = "softmax"
    negatives: int = 512
    smoothing: float = 0.0
    temperature: float | None = None
    id_dropout: float = 0.1
    item_dropout: float = 0.0
    tokens: int = 4096
    text_encoder: str | None = None


class SequenceModel(nn.Module):
    """Item vectors and the encoder over them; with a temperature, both sides are of unit length."""

    def __init__(self, recipe: SequenceRecipe, *, items: int, text: Float[Tensor, "items text_dim"] | None) -> None:
        super().__init__()
        self.recipe = recipe
        self.items = ItemEmbedding(
            items=items, dim=recipe.encoder.dim, kind=recipe.items, text=text, id_dropout=recipe.id_dropout
        )
        self.encoder = SequenceEncoder(recipe.encoder)

    def histories(self, table: Float[Tensor, "items dim"], batch: ItemBatch) -> Float[Tensor, "batch time dim"]:
        """History vectors, scaled so that an inner product with the item's vector is the logit."""
        x = self.encoder(self.items.look_up(table, batch.items) * table.shape[1] ** 0.5, batch.when)
        return x if self.recipe.temperature is None else nn.functional.normalize(x, dim=-1) / self.recipe.temperature

    def table(self) -> Float[Tensor, "items dim"]:
        """Vectors of all items."""
        table = self.items.table()
        return table if self.recipe.temperature is None else nn.functional.normalize(table, dim=-1)


def train(
    recipe: SequenceRecipe,
    *,
    name: str,
    fit: Dataset,
    validation: Cases | None,
    text: NDArray[np.float32] | None,
    seed: int,
    device: str = "cpu",
    checkpoint: Path | None = None,
    resume: bool = False,
) -> Iterator[Epoch | Part]:
    """Yields one `Epoch` each, and last the trained part. Without `validation` all of `recipe.loop.epochs` are run."""
    torch.manual_seed(seed)
    vectors = None if text is None or recipe.items == "id" else torch.from_numpy(text).to(device)
    model = SequenceModel(recipe, items=fit.items, text=vectors).to(device)
    windows = _windows(fit, recipe.encoder.max_length)
    lengths = np.array([len(rows) for rows in windows])
    objective = _Objective(recipe, model, fit, device)
    best = recipe.loop.epochs
    for epoch in run(
        model,
        batches=lambda generator: (
            [windows[i] for i in batch] for batch in length_buckets(lengths, tokens=recipe.tokens, generator=generator)
        ),
        loss=objective,
        validate=None if validation is None else lambda: _validate(model, validation, fit.items, device),
        config=recipe.loop,
        seed=seed,
        checkpoint=checkpoint,
        resume=resume,
    ):
        best = epoch.best
        yield epoch
    yield _part(name, model, fit, epochs=best, seed=seed)


def for_refit(recipe: SequenceRecipe, *, epochs: int) -> SequenceRecipe:
    """The same recipe with the number of epochs that validation chose."""
    return replace(recipe, loop=replace(recipe.loop, epochs=epochs))


def _windows(dataset: Dataset, max_length: int) -> list[NDArray[np.int64]]:
    """Every history in pieces of `max_length` + 1 events (inputs and their targets), cut from its end, sharing one event."""
    windows: list[NDArray[np.int64]] = []
    for history in dataset.histories():
        rows = history.rows
        windows.extend(rows[max(0, end - max_length - 1) : end] for end in range(len(rows), 1, -max_length))
    return windows


class _Objective:
    """The loss of one batch of windows."""

    def __init__(self, recipe: SequenceRecipe, model: SequenceModel, fit: Dataset, device: str) -> None:
        self.recipe, self.model, self.device, self.items = recipe, model, device, fit.items
        self.sampler = NegativeSampler(fit.counts(), proposal="popular" if recipe.objective == "sampled" else "uniform")
        self.log_q = torch.from_numpy(self.sampler.log_q).to(device)

    def __call__(self, windows: list[NDArray[np.int64]], generator: np.random.Generator) -> Tensor:
        batch = collate([rows[:-1] for rows in windows], device=self.device)
        targets = torch.from_numpy(np.concatenate([rows[1:] for rows in windows])).to(self.device)
        if self.recipe.item_dropout:
            hidden = torch.from_numpy(generator.random(tuple(batch.items.shape)) < self.recipe.item_dropout)
            batch = ItemBatch(batch.items.masked_fill(hidden.to(self.device), 1), batch.when)
        table = self.model.table()
        histories = self.model.histories(table, batch)[batch.when.real]
        if self.recipe.objective == "softmax":
            return full_softmax(histories, table, targets, smoothing=self.recipe.smoothing)
        negatives = torch.from_numpy(self.sampler.draw(self.recipe.negatives, generator)).to(self.device)
        if self.recipe.objective == "sampled":
            return sampled_softmax(histories, table, targets, negatives, self.log_q)
        positive = (histories * table[targets]).sum(-1)
        exponent = beta(negatives=self.recipe.negatives, items=self.items, calibration=0.75)
        return gbce(positive, histories @ table[negatives].T, beta=exponent)


@torch.inference_mode()
def _validate(model: SequenceModel, cases: Cases, items: int, device: str) -> float:
    """Mean NDCG@10 over the whole catalogue without seen items."""
    model.eval()
    table = model.table()
    total = 0.0
    for start in range(0, len(cases), 1024):
        histories = [history.rows for history in cases.histories[start : start + 1024]]
        batch = collate([rows[-model.recipe.encoder.max_length :] for rows in histories], device=device)
        scores = (last(model.histories(table, batch), batch.when) @ table.T).cpu().numpy()
        allowed = np.ones((len(histories), items), dtype=np.bool_)
        for i, rows in enumerate(histories):
            allowed[i, rows] = False
        total += ndcg(dense_ranks(scores, cases.targets[start : start + 1024], allowed)).sum()
    return float(total / len(cases))


@torch.inference_mode()
def _part(name: str, model: SequenceModel, fit: Dataset, *, epochs: int, seed: int) -> Part:
    model.eval()
    recipe = model.recipe
    known = fit.counts() > 0 if recipe.items == "id" else np.ones(fit.items, dtype=np.bool_)
    arrays: dict[str, NDArray[Any]] = {"item_vectors": model.table().cpu().numpy(), "known": known}
    arrays |= {f"history.{key}": value.cpu().numpy() for key, value in model.encoder.state_dict().items()}
    if model.items.project is not None:
        if model.items.ids is not None:
            arrays["residual"] = model.items.ids.weight[FIRST_ITEM:].cpu().numpy()
        arrays |= {f"text.{key}": value.cpu().numpy() for key, value in model.items.project.state_dict().items()}
    config = {"recipe": asdict(recipe), "epochs": epochs, "seed": seed}
    return Part(name=name, kind="sequence", config=config, arrays=arrays)
