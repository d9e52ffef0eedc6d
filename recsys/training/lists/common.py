"""What the recipes over lists share: settings, items frequent enough to have an id of their own, the run, negatives, figures."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.batch import FIRST_ITEM
from models.embeddings import ItemEmbedding, ItemKind
from models.lists import ListModel, PlaylistModel, SetModel
from recsys.data.dataset import Dataset
from recsys.data.history import Rows
from recsys.data.sampling import NegativeSampler
from recsys.errors import TrainingError
from recsys.metrics.ranking import dense_ranks, ndcg
from recsys.retrieval.lists.encoder import DecodingConfig
from recsys.retrieval.lists.seq2seq import Seq2seqListEncoder
from recsys.retrieval.lists.sets import SetListEncoder
from recsys.training.loop import Epoch, LoopConfig, run
from recsys.training.svd_init import svd_embeddings

RESIDUAL_START = 0.1
"""Length at which ids start beside a text, as in `recsys.training.sequence`."""

MEASURED = 500
"""Validation lists whose last item is looked for."""


Backbone = TypeVar("Backbone", PlaylistModel, SetModel)
Batch = TypeVar("Batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRecipe:
    """Items in fewer than `min_count` places have no id of their own.

    `negatives` are the shared draws of the sampled softmax, `tokens` the items of a batch, padding included.
    """

    items: ItemKind = "id"
    loop: LoopConfig = field(default_factory=LoopConfig)
    min_count: int = 3
    negatives: int = 1024
    temperature: float = 0.1
    id_dropout: float = 0.1
    tokens: int = 4096
    text_encoder: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FrequentItems:
    """Lists over the items that occur `min_count` times; `rows` says which catalogue row each of them is."""

    data: Dataset
    rows: Rows

    @classmethod
    def of(cls, lists: Dataset, *, min_count: int) -> "FrequentItems":
        """Raises TrainingError: no item is that frequent."""
        counts = lists.counts()
        rows = np.flatnonzero(counts >= min_count)
        if not len(rows):
            raise TrainingError(f"no item stands in lists {min_count} times: lower min_count or import more lists")
        return cls(_renumbered(lists, rows), rows)

    def same_items(self, lists: Dataset) -> list[Rows]:
        """Other lists over the same items: every item that is not among them is left out."""
        data = _renumbered(lists, self.rows)
        return [history.rows for history in data.histories() if len(history.rows)]


def _renumbered(data: Dataset, rows: Rows) -> Dataset:
    place = np.full(data.items, -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    kept = data.keep(place[data.rows] >= 0)
    ids, texts = (tuple(values[row] for row in rows.tolist()) for values in (data.item_ids, data.texts))
    return replace(kept, item_ids=ids, texts=texts, rows=place[kept.rows], domains=())


def item_embedding(
    recipe: ListRecipe, frequent: FrequentItems, *, dim: int, text: NDArray[np.float32] | None, seed: int
) -> ItemEmbedding:
    """Vectors that begin at the spectrum of the lists; `text` (items, text_dim) is that of the whole catalogue."""
    vectors = None if recipe.items == "id" or text is None else torch.from_numpy(text[frequent.rows])
    start = None
    if recipe.items != "text":
        start = torch.from_numpy(svd_embeddings(frequent.data, dim=dim, seed=seed))
        start *= 1.0 if recipe.items == "id" else RESIDUAL_START
    return ItemEmbedding(
        items=len(frequent.rows), dim=dim, kind=recipe.items, text=vectors, id_dropout=recipe.id_dropout, start=start
    )


def train_lists(
    model: ListModel[Backbone],
    frequent: FrequentItems,
    *,
    batches: Callable[[list[Rows], np.random.Generator], Iterator[Batch]],
    loss: Callable[[Batch, np.random.Generator], Tensor],
    validation: Dataset | None,
    config: LoopConfig,
    seed: int,
    checkpoint: Path | None,
    resume: bool,
) -> Generator[Epoch, None, int]:
    """As `run`, over the `batches` of the frequent items of lists. The figure is minus the mean loss of the batches of
    `validation`, which are the same after every epoch."""
    lists = [history.rows for history in frequent.data.histories()]
    held = [] if validation is None else frequent.same_items(validation)

    @torch.inference_mode()
    def figure() -> float:
        model.eval()
        generator = np.random.default_rng(seed)
        losses = [float(loss(batch, generator)) for batch in batches(held, generator)]
        return -float(np.mean(losses)) if losses else 0.0

    return (
        yield from run(
            model,
            batches=lambda generator: batches(lists, generator),
            loss=loss,
            validate=figure if held else None,
            config=config,
            seed=seed,
            checkpoint=checkpoint,
            resume=resume,
        )
    )


class SharedNegatives:
    """Shared negatives and, so that vectors are made for these alone, the items that one batch meets at all.

    Beyond the `counts` of items there may be classes that are no items, such as the end of a list.
    """

    def __init__(self, counts: NDArray[np.int64], *, negatives: int, device: str) -> None:
        self.sampler = NegativeSampler(counts, proposal="popular")
        self.log_q = torch.from_numpy(self.sampler.log_q).to(device)
        self.negatives, self.classes, self.device = negatives, len(counts), device

    def meet(self, generator: np.random.Generator, *, rows: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """(classes met in order, the place of each class among them, classes drawn)."""
        drawn = torch.from_numpy(self.sampler.draw(self.negatives, generator)).to(self.device)
        met = torch.zeros(self.classes, dtype=torch.bool, device=self.device)
        for some in (*rows, drawn):
            met[some] = True
        return met.nonzero().squeeze(1), met.cumsum(0) - 1, drawn


def remap(items: Tensor, place: Tensor) -> Tensor:
    """Item indexes numbered anew, row r as row `place[r]`; padding stays."""
    rows = (items - FIRST_ITEM).clamp(min=0)
    return torch.where(items >= FIRST_ITEM, place[rows] + FIRST_ITEM, items)


def next_item_ndcg(part: Seq2seqListEncoder | SetListEncoder, lists: Dataset) -> float:
    """Mean NDCG@10 of each list's last item, given all before, among everything that the part knows and the list lacks."""
    asked = [rows for history in lists.histories() if len(rows := part.usable(history.rows)) > 1][:MEASURED]
    if not asked:
        return 0.0
    figures = []
    every = np.flatnonzero(part.known)
    place = np.cumsum(part.known) - 1
    for start in range(0, len(asked), 64):
        block = asked[start : start + 64]
        pasts, targets = [rows[:-1] for rows in block], np.array([place[rows[-1]] for rows in block])
        scores = part.next_scores(pasts, np.broadcast_to(every, (len(block), len(every))))
        allowed = np.ones(scores.shape, dtype=np.bool_)
        for i, past in enumerate(pasts):
            allowed[i, place[past]] = False
            allowed[i, targets[i]] = True
        figures.append(ndcg(dense_ranks(scores, targets, allowed)))
    return float(np.concatenate(figures).mean())


def completion_recall(part: SetListEncoder, lists: Dataset, *, candidates: int, seed: int) -> dict[str, float]:
    """Of the sets from which one item is taken at random, the share that get it back among ten: of the set that the part writes
    item by item, among the `candidates` that it ranks first, and of its ranking alone."""
    random = np.random.default_rng(seed)
    sets = [held for history in lists.histories() if len(held := np.unique(part.usable(history.rows))) > 1][:MEASURED]
    every, written, ranked = np.flatnonzero(part.known), list[bool](), list[bool]()
    for held in sets:
        out = int(random.choice(held))
        rest = held[held != out]
        scores = part.next_scores([rest], every[None])[0]
        scores[np.isin(every, rest)] = -np.inf
        among = every[np.argsort(-scores, kind="stable")[:candidates]]
        found = part.decode(rest, among=among, prior=None, groups=None, wanted=DecodingConfig())
        written.append(out in found[0].rows)
        ranked.append(out in among[:10])
    if not sets:
        return {}
    return {
        "validation_completion_recall@10": float(np.mean(written)),
        "validation_ranking_recall@10": float(np.mean(ranked)),
    }
