"""Shared by the recipes over lists: settings, items frequent enough for an id, the training run, negatives, figures."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
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
from recsys.training.plan import RunContext
from recsys.training.svd_init import svd_embeddings

RESIDUAL_START = 0.1
"""Initial length of the ids added to text vectors, as in `recsys.training.sequence`."""

MAX_VALIDATION_LISTS = 500
"""Validation lists that figures are computed on."""


Backbone = TypeVar("Backbone", PlaylistModel, SetModel)
Batch = TypeVar("Batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRecipe:
    """Items that occur fewer than `min_count` times have no id of their own.

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
    numbers = np.full(data.items, -1, dtype=np.int64)
    numbers[rows] = np.arange(len(rows))
    frequent = data.keep(numbers[data.rows] >= 0)
    ids, texts = (tuple(values[row] for row in rows.tolist()) for values in (data.item_ids, data.texts))
    return replace(frequent, item_ids=ids, texts=texts, rows=numbers[frequent.rows], domains=())


def item_embedding(
    recipe: ListRecipe, frequent: FrequentItems, *, dim: int, text: NDArray[np.float32] | None, seed: int
) -> ItemEmbedding:
    """Vectors that start at the SVD of the lists; `text` (items, text_dim) is that of the whole catalogue."""
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
    context: RunContext,
) -> Generator[Epoch, None, int]:
    """As `run`, over `batches` of the lists' frequent items. The figure is minus the mean loss on batches of `validation`,
    which are the same after every epoch."""
    lists = [history.rows for history in frequent.data.histories()]
    validation_lists = [] if validation is None else frequent.same_items(validation)

    @torch.inference_mode()
    def figure() -> float:
        model.eval()
        generator = np.random.default_rng(context.seed)
        losses = [float(loss(batch, generator)) for batch in batches(validation_lists, generator)]
        return -float(np.mean(losses)) if losses else 0.0

    return (
        yield from run(
            model,
            batches=lambda generator: batches(lists, generator),
            loss=loss,
            validate=figure if validation_lists else None,
            config=config,
            context=context,
        )
    )


class SharedNegatives:
    """Samples shared negatives and collects the distinct items of a batch, so that only those are embedded.

    Beyond the `counts` of items there may be classes that are no items, such as the end of a list.
    """

    def __init__(self, counts: NDArray[np.int64], *, negatives: int, device: str) -> None:
        self.sampler = NegativeSampler(counts, proposal="popular")
        self.log_q = torch.from_numpy(self.sampler.log_q).to(device)
        self.negatives, self.classes, self.device = negatives, len(counts), device

    def sample(self, generator: np.random.Generator, *, rows: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """(distinct classes of `rows` and negatives in order, the position of each class among them, negatives)."""
        negatives = torch.from_numpy(self.sampler.draw(self.negatives, generator)).to(self.device)
        present = torch.zeros(self.classes, dtype=torch.bool, device=self.device)
        for classes in (*rows, negatives):
            present[classes] = True
        return present.nonzero().squeeze(1), present.cumsum(0) - 1, negatives


def remap(items: Tensor, positions: Tensor) -> Tensor:
    """Item indexes numbered anew, row r as row `positions[r]`; padding stays."""
    rows = (items - FIRST_ITEM).clamp(min=0)
    return torch.where(items >= FIRST_ITEM, positions[rows] + FIRST_ITEM, items)


def next_item_ndcg(part: Seq2seqListEncoder | SetListEncoder, lists: Dataset) -> float:
    """Mean NDCG@10 of each list's last item, given all before, among the items that the part knows and the list lacks."""
    known = [part.known_rows(history.rows) for history in lists.histories()]
    cases = [rows for rows in known if len(rows) > 1][:MAX_VALIDATION_LISTS]
    if not cases:
        return 0.0
    figures = []
    every = np.flatnonzero(part.known)
    positions = np.cumsum(part.known) - 1
    for start in range(0, len(cases), 64):
        block = cases[start : start + 64]
        inputs, targets = [rows[:-1] for rows in block], np.array([positions[rows[-1]] for rows in block])
        scores = part.next_scores(inputs, np.broadcast_to(every, (len(block), len(every))))
        allowed = np.ones(scores.shape, dtype=np.bool_)
        for i, rows in enumerate(inputs):
            allowed[i, positions[rows]] = False
            allowed[i, targets[i]] = True
        figures.append(ndcg(dense_ranks(scores, targets, allowed)))
    return float(np.concatenate(figures).mean())


def completion_recall(part: SetListEncoder, lists: Dataset, *, candidates: int, seed: int) -> dict[str, float]:
    """Recall@10 of one item masked at random in each set: by decoding among the `candidates` that the part ranks first, and
    by its ranking alone."""
    random = np.random.default_rng(seed)
    known = [np.unique(part.known_rows(history.rows)) for history in lists.histories()]
    sets = [rows for rows in known if len(rows) > 1][:MAX_VALIDATION_LISTS]
    every, in_decoded, in_ranking = np.flatnonzero(part.known), list[bool](), list[bool]()
    for rows in sets:
        target = int(random.choice(rows))
        inputs = rows[rows != target]
        scores = part.next_scores([inputs], every[None])[0]
        scores[np.isin(every, inputs)] = -np.inf
        ranked = every[np.argsort(-scores, kind="stable")[:candidates]]
        decoded = part.decode(inputs, candidates=ranked, prior=None, groups=None, config=DecodingConfig())
        in_decoded.append(target in decoded[0].rows)
        in_ranking.append(target in ranked[:10])
    if not sets:
        return {}
    return {
        "validation_completion_recall@10": float(np.mean(in_decoded)),
        "validation_ranking_recall@10": float(np.mean(in_ranking)),
    }
