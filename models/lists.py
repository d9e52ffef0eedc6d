"""Whole models over lists: item vectors, what reads a list, and what says which items belong to it.

All vectors that meet in a product are of unit length, so that a cosine over the temperature is the logit.
"""

from typing import Generic, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.embeddings import ItemEmbedding
from models.encoders.seq2seq import EncoderOutput, PlaylistConfig, PlaylistDecoder, PlaylistEncoder, WriterState
from models.encoders.sets import SetConfig, SetEncoder

RECONSTRUCT, CONTINUE, EOS = 0, 1, 2
"""What a writer begins with, to write the list again or what would follow; and what stands behind a list's last item."""


class PlaylistModel(nn.Module):
    """Reads a list into a vector and writes from it: the same list again, or what would come next."""

    def __init__(self, config: PlaylistConfig, *, temperature: float) -> None:
        super().__init__()
        self.config, self.temperature = config, temperature
        self.encoder = PlaylistEncoder(config)
        self.decoder = PlaylistDecoder(config)
        self.edges = nn.Parameter(torch.randn(3, config.dim) * config.dim**-0.5)

    def edge(self, which: int) -> Float[Tensor, " dim"]:
        """The unit vector of `RECONSTRUCT`, `CONTINUE` or `EOS`."""
        return F.normalize(self.edges[which], dim=-1)

    def begin(self, which: int, *, batch: int) -> Float[Tensor, "batch 1 dim"]:
        """The first input of `batch` writers."""
        return self.edge(which).expand(batch, 1, -1) * self.config.dim**0.5

    def queries(
        self, read: EncoderOutput, which: int, written: Float[Tensor, "batch time dim"]
    ) -> Float[Tensor, "batch longer dim"]:
        """One query more than `written` has items: before each of them, and behind the last."""
        inputs = torch.cat([self.begin(which, batch=len(written)), written], dim=1)
        return self._scaled(self.decoder(self.decoder.start(read), inputs)[1])

    def step(
        self, state: WriterState, x: Float[Tensor, "batch 1 dim"]
    ) -> tuple[WriterState, Float[Tensor, "batch dim"]]:
        """(states after `x` was written, the queries for what comes next)."""
        state, query = self.decoder(state, x)
        return state, self._scaled(query).squeeze(1)

    def _scaled(self, query: Tensor) -> Tensor:
        return F.normalize(query, dim=-1) / self.temperature


class SetModel(nn.Module):
    """Reads a multiset into a vector whose products with item vectors say what is missing from it."""

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
        """Set vectors over the temperature; `x` has each distinct item once, `count` how often it is held."""
        return F.normalize(self.encoder(x, count, real), dim=-1) / self.temperature


Backbone = TypeVar("Backbone", PlaylistModel, SetModel)


class ListModel(nn.Module, Generic[Backbone]):
    """A `body` with the item vectors that it is trained together with."""

    def __init__(self, items: ItemEmbedding, body: Backbone) -> None:
        super().__init__()
        self.items = items
        self.body: Backbone = body

    def table(self, rows: Int[Tensor, " rows"] | None = None) -> Float[Tensor, "items dim"]:
        """Unit vectors of all items, or of `rows` alone."""
        return F.normalize(self.items.table(rows), dim=-1)

    def look_up(
        self, table: Float[Tensor, "items dim"], items: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time dim"]:
        """What the body takes in for item indexes: numbers of about unit size."""
        return self.items.look_up(table, items) * table.shape[1] ** 0.5
