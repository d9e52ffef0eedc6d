"""Complete models over lists: item vectors, an encoder of lists, and queries for the items that belong to a list.

Item vectors and queries are of unit length, so that a cosine over the temperature is the logit.
"""

from typing import Generic, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.decoders.attentive import DecoderState, PlaylistDecoder
from models.embeddings import ItemEmbedding
from models.encoders.seq2seq import EncoderOutput, PlaylistConfig, PlaylistEncoder
from models.encoders.sets import SetConfig, SetEncoder

RECONSTRUCT, CONTINUE, EOS = 0, 1, 2
"""Tasks of the decoder: write the list again, or continue it; and the end of a list, which comes after its last item."""


class PlaylistModel(nn.Module):
    """Encodes a list and decodes from that the same list or its continuation."""

    def __init__(self, config: PlaylistConfig, *, temperature: float) -> None:
        super().__init__()
        self.config, self.temperature = config, temperature
        self.encoder = PlaylistEncoder(config)
        self.decoder = PlaylistDecoder(config)
        self.task_embeddings = nn.Parameter(torch.randn(3, config.dim) * config.dim**-0.5)

    def task_embedding(self, task: int) -> Float[Tensor, " dim"]:
        """The unit vector of `RECONSTRUCT`, `CONTINUE` or `EOS`."""
        return F.normalize(self.task_embeddings[task], dim=-1)

    def first_input(self, task: int, *, batch: int) -> Float[Tensor, "batch 1 dim"]:
        """The decoder's input at the first step of `task`, for `batch` rows."""
        return self.task_embedding(task).expand(batch, 1, -1) * self.config.dim**0.5

    def queries(
        self, encoder_output: EncoderOutput, task: int, written: Float[Tensor, "batch time dim"]
    ) -> Float[Tensor, "batch queries dim"]:
        """Queries before each item of `written` and one after the last: one more than it has items."""
        inputs = torch.cat([self.first_input(task, batch=len(written)), written], dim=1)
        return self._scaled(self.decoder(self.decoder.start(encoder_output), inputs)[1])

    def step(
        self, state: DecoderState, x: Float[Tensor, "batch 1 dim"]
    ) -> tuple[DecoderState, Float[Tensor, "batch dim"]]:
        """(states after the input `x`, queries for the next item)."""
        state, query = self.decoder(state, x)
        return state, self._scaled(query).squeeze(1)

    def _scaled(self, query: Tensor) -> Tensor:
        return F.normalize(query, dim=-1) / self.temperature


class SetModel(nn.Module):
    """Encodes a multiset as a query for the items that are missing from it."""

    def __init__(self, config: SetConfig, *, temperature: float) -> None:
        super().__init__()
        self.config, self.temperature = config, temperature
        self.encoder = SetEncoder(config)

    def queries(
        self,
        x: Float[Tensor, "batch time dim"],
        count: Float[Tensor, "batch time"],
        real: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch dim"]:
        """Set vectors over the temperature; `x` has each distinct item once, `count` how often the set contains it."""
        return F.normalize(self.encoder(x, count, real), dim=-1) / self.temperature


Backbone = TypeVar("Backbone", PlaylistModel, SetModel)


class ListModel(nn.Module, Generic[Backbone]):
    """A `backbone` and the item vectors that are trained with it."""

    def __init__(self, items: ItemEmbedding, backbone: Backbone) -> None:
        super().__init__()
        self.items = items
        self.backbone: Backbone = backbone

    def table(self, rows: Int[Tensor, " rows"] | None = None) -> Float[Tensor, "items dim"]:
        """Unit vectors of all items, or of `rows` alone."""
        return F.normalize(self.items.table(rows), dim=-1)

    def look_up(
        self, table: Float[Tensor, "items dim"], items: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time dim"]:
        """The backbone's inputs for item indexes, scaled to entries of about unit size."""
        return self.items.look_up(table, items) * table.shape[1] ** 0.5
