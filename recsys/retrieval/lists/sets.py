"""A trained set encoder: lists as multisets, in the space of the items, so that its vector also says what is missing."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from models.batch import FIRST_ITEM, ItemBatch
from models.decoders.constraints import StepDecoder
from models.decoders.pointer import PointerConfig, PointerContext, PointerDecoder, PointerState
from models.encoders.sets import SetConfig
from models.lists import SetModel
from recsys.bundle import Part
from recsys.data.collate import collate
from recsys.data.history import Rows
from recsys.encoders.stored_module import stored_module
from recsys.retrieval.lists.neural import NeuralListEncoder, tensors
from recsys.retrieval.stored_settings import stored_settings, stored_temperature

LOWEST = float(np.finfo(np.float32).min)


class SetListEncoder(NeuralListEncoder[SetModel]):
    """Vectors that no permutation changes. Lists are read whole: which items are the latest would be a matter of order."""

    kind = "set"

    def __init__(
        self, part: Part, *, vectors: NDArray[np.float32] | None = None, known: NDArray[np.bool_] | None = None
    ) -> None:
        super().__init__(part, vectors=vectors, known=known)
        completion = part.config["recipe"]["completion"]
        if completion:
            settings = stored_settings(PointerConfig, completion["pointer"], where=part.name)
            self._pointer = stored_module(partial(PointerDecoder, settings, dim=self.dim), tensors(part, "pointer."))
        else:  # untrained it repeats the encoder's own ranking
            self._pointer = PointerDecoder(PointerConfig(), dim=self.dim).eval()

    @property
    def dim(self) -> int:
        return self._body.config.dim

    def _next_item_query(self, lists: Sequence[Rows]) -> Tensor:
        return self._encode(lists)

    def _step_decoder(self, items: Rows, candidates: Tensor, known: NDArray[np.bool_]) -> StepDecoder[PointerState]:
        batch, x, query = self._queries([items])
        base = (query @ F.normalize(candidates, dim=-1).T).masked_fill(torch.from_numpy(~known), LOWEST)
        return Pointing(self._pointer, PointerContext(query, x, batch.when.real, candidates[None], base))

    def _encode(self, lists: Sequence[Rows]) -> Tensor:
        return self._queries(lists)[2]

    def _queries(self, lists: Sequence[Rows]) -> tuple[ItemBatch, Tensor, Tensor]:
        """(the sets, what is read of their elements, their vectors over the temperature)."""
        batch, count = collate_sets(lists)
        x = self._inputs(batch.items.numpy() - FIRST_ITEM)
        return batch, x, self._body.queries(x, count, batch.when.real)

    def _body_builder(self, recipe: dict[str, Any]) -> Callable[[], SetModel]:
        settings = stored_settings(SetConfig, recipe["encoder"], where=self.name)
        return partial(SetModel, settings, temperature=stored_temperature(recipe))


def collate_sets(lists: Sequence[Rows], *, device: str = "cpu") -> tuple[ItemBatch, Float[Tensor, "batch time"]]:
    """(distinct rows of each list in catalogue order, how often each stands in it), padded on the right."""
    counted = [np.unique(rows, return_counts=True) for rows in lists]
    batch = collate([rows for rows, _ in counted], device=device)
    count = np.zeros(batch.items.shape, dtype=np.float32)
    for row, (_, often) in zip(count, counted, strict=True):
        row[: len(often)] = often
    return batch, torch.from_numpy(count).to(device)


class Pointing:
    """The pointer over one batch: its vocabulary are the candidates of each row."""

    def __init__(self, decoder: PointerDecoder, seen: PointerContext) -> None:
        self.decoder, self.seen = decoder, seen

    def start(self) -> tuple[PointerState, Tensor]:
        return self._scored(self.decoder.start(self.seen), self.decoder.first_input(len(self.seen.set)))

    def step(self, state: PointerState, written: Tensor) -> tuple[PointerState, Tensor]:
        rows = torch.arange(len(written), device=written.device)
        return self._scored(state, state.context.candidates[rows, written][:, None])

    def select(self, state: PointerState, rows: Tensor) -> PointerState:
        return state.select(rows)

    def _scored(self, state: PointerState, previous: Tensor) -> tuple[PointerState, Tensor]:
        state, logits = self.decoder(state, previous)
        return state, logits.squeeze(1).log_softmax(dim=-1)
