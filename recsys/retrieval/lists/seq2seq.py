"""The trained encoder and decoder of lists: vectors that know the order, and continuations item by item."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from models.batch import Timeline
from models.decoders.attentive import DecoderState
from models.decoders.constraints import StepDecoder
from models.encoders.seq2seq import EncoderOutput, PlaylistConfig
from models.lists import CONTINUE, PlaylistModel
from recsys.data.history import Rows
from recsys.retrieval.lists.neural import NeuralListEncoder
from recsys.retrieval.stored_settings import stored_settings, stored_temperature


class Seq2seqListEncoder(NeuralListEncoder[PlaylistModel]):
    """Reads the last `max_length` known items of a list."""

    kind = "playlist-seq2seq"
    order_sensitive = True

    @property
    def dim(self) -> int:
        return self._body.config.list_embedding_dim

    def _next_item_query(self, lists: Sequence[Rows]) -> Tensor:
        state = self._body.decoder.start(self._seen(lists))
        return self._body.step(state, self._body.first_input(CONTINUE, batch=len(lists)))[1]

    def _step_decoder(self, items: Rows, candidates: Tensor, known: NDArray[np.bool_]) -> StepDecoder[DecoderState]:
        return _Onward(self._body, self._seen([items]), candidates, known)

    def _encode(self, lists: Sequence[Rows]) -> Tensor:
        return self._seen(lists).list_embedding

    def _seen(self, lists: Sequence[Rows]) -> EncoderOutput:
        cut = [rows[-self._body.config.max_length :] for rows in lists]
        lengths = np.array([len(rows) for rows in cut])
        width = int(lengths.max())
        padded = np.full((len(cut), width), -1, dtype=np.int64)
        for row, rows in zip(padded, cut, strict=True):
            row[: len(rows)] = rows
        order = torch.arange(width).expand(len(cut), width)
        return self._body.encoder(self._inputs(padded), Timeline(order < torch.from_numpy(lengths)[:, None], order))

    def _body_builder(self, recipe: dict[str, Any]) -> Callable[[], PlaylistModel]:
        settings = stored_settings(PlaylistConfig, recipe["encoder"], where=self.name)
        return partial(PlaylistModel, settings, temperature=stored_temperature(recipe))


class _Onward:
    """Decodes what follows one list, over candidates with the inputs `x` (candidates, dim)."""

    def __init__(self, model: PlaylistModel, encoded: EncoderOutput, x: Tensor, known: NDArray[np.bool_]) -> None:
        self.model, self.encoded, self.x = model, encoded, x
        self.table, self.unknown = F.normalize(x, dim=-1), torch.from_numpy(~known)

    def start(self) -> tuple[DecoderState, Tensor]:
        state = self.model.decoder.start(self.encoded)
        return self._scored(*self.model.step(state, self.model.first_input(CONTINUE, batch=1)))

    def step(self, state: DecoderState, written: Tensor) -> tuple[DecoderState, Tensor]:
        return self._scored(*self.model.step(state, self.x[written][:, None]))

    def select(self, state: DecoderState, rows: Tensor) -> DecoderState:
        return state.select(rows)

    def _scored(self, state: DecoderState, query: Tensor) -> tuple[DecoderState, Tensor]:
        logits = (query @ self.table.T).masked_fill(self.unknown, torch.finfo(query.dtype).min)
        return state, logits.log_softmax(dim=-1)
