"""Lists to vectors that know their order: a recurrent encoder, and the decoder that it is trained with.

Source: Papreja et al. (arXiv:1907.01098), section 3: an autoencoder over lists whose last state is the list's vector. The source
read backwards is from Sutskever et al. (arXiv:1409.3215), section 3.3; the attention from Bahdanau et al. (arXiv:1409.0473),
appendix A.1.2. One addition: the decoder's first input is its task, to write the list again or to continue it.

Padding is on the right, so an RNN that runs forwards never sees it before the list has ended; one that runs backwards gets the
list reversed. So the fused kernels run without packing, which costs half as much on a CPU.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.batch import Timeline
from models.errors import ConfigError, ShapeError, check_depth
from models.pooling.mean import mean

Cell = Literal["gru", "lstm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaylistConfig:
    """`dim` is the width of item vectors, `hidden` that of one direction's state; `bidirectional` doubles the state.

    `backwards` reads the last item first. `counting` adds a feature of the position, without which the state of a long list does
    not show its length; `nearness` adds the similarity of each item to that many before it. `conditioned` feeds the encoder's
    last state to the decoder at every step, `attention` all its states: then the last one may carry little.
    """

    dim: int = 128
    hidden: int = 256
    layers: int = 1
    cell: Cell = "gru"
    bidirectional: bool = False
    backwards: bool = False
    attention: bool = False
    conditioned: bool = True
    counting: bool = True
    nearness: int = 3
    dropout: float = 0.2
    max_length: int = 256

    def __post_init__(self) -> None:
        if min(self.dim, self.hidden, self.layers, self.max_length) < 1:
            raise ConfigError(f"{self}: dim, hidden, layers and max_length must be at least 1")
        check_depth(layers=self.layers, nearness=self.nearness)
        if self.nearness < 0:
            raise ConfigError(f"nearness={self.nearness}: a number of items from 0 on")
        if self.bidirectional and self.backwards:
            raise ConfigError("backwards=True and bidirectional=True contradict each other: it reads both ways already")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout={self.dropout}: must be in [0, 1)")

    @property
    def width(self) -> int:
        """Width of an encoder state."""
        return self.hidden * (2 if self.bidirectional else 1)

    @property
    def list_embedding_dim(self) -> int:
        """Width of `EncoderOutput.list_embedding`."""
        return 2 * self.width + self.dim + max(0, 2 * self.nearness - 1)


@dataclass(frozen=True, slots=True)
class EncoderOutput:
    """Encoded lists: the state after the last item of each, the states after all items for attention, the mean of the items,
    and the similarities of items close to each other."""

    last_state: Float[Tensor, "batch width"]
    states: Float[Tensor, "batch time width"]
    real: Bool[Tensor, "batch time"]
    mean_item: Float[Tensor, "batch dim"]
    local_order: Float[Tensor, "batch features"]

    @property
    def list_embedding(self) -> Float[Tensor, "batch list_embedding"]:
        """The vectors by which lists are compared: last state, mean state, mean item and local order, concatenated.

        The paper compares last states, which remember the latest items best. Every state shows how its item follows the one
        before, so the mean state keeps the order of all of a long list; the mean item shows best what a list is about; only the
        local order shows single swaps.
        """
        return torch.cat([self.last_state, mean(self.states, self.real), self.mean_item, self.local_order], dim=-1)

    def select(self, rows: Int[Tensor, " rows"]) -> "EncoderOutput":
        """The output for these rows of the batch, in this order."""
        return EncoderOutput(
            self.last_state[rows], self.states[rows], self.real[rows], self.mean_item[rows], self.local_order[rows]
        )


class PlaylistEncoder(nn.Module):
    """Item vectors (batch, time, dim) to `EncoderOutput`; the last state of an empty list is zeros."""

    def __init__(self, config: PlaylistConfig) -> None:
        super().__init__()
        self.config = config
        self.dropout = nn.Dropout(config.dropout)
        self.position_feature = nn.Linear(1, config.dim, bias=False) if config.counting else None
        self.lag_feature = nn.Linear(config.nearness, config.dim, bias=False) if config.nearness else None
        directions = 2 if config.bidirectional else 1
        self.rnns = nn.ModuleList(recurrent_layer(config, inputs=config.dim) for _ in range(directions))

    def forward(self, x: Float[Tensor, "batch time dim"], when: Timeline) -> EncoderOutput:
        """The output for lists `x`; states at padding are meaningless.

        Raises:
            ShapeError: longer than `max_length`.
        """
        if x.shape[1] > self.config.max_length:
            raise ShapeError(f"{x.shape[1]} items: this encoder takes {self.config.max_length}; cut the list")
        lengths = when.real.sum(dim=1)
        last_states, states = [], []
        for number, rnn in enumerate(self.rnns):
            reverse = self.config.backwards or number == 1
            outputs, _ = rnn(self._inputs(reverse_padded(x, lengths) if reverse else x))
            last_states.append(_last_state(outputs, lengths))
            states.append(reverse_padded(outputs, lengths) if reverse else outputs)
        return EncoderOutput(
            torch.cat(last_states, dim=-1),
            torch.cat(states, dim=-1),
            when.real,
            mean_item=mean(x, when.real),
            local_order=mean(local_order(lag_similarity(x, lags=self.config.nearness)), when.real),
        )

    def _inputs(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        """The RNN's inputs: items with features of their position (its logarithm) and of their similarity to those before."""
        inputs = self.dropout(x)
        if self.position_feature is not None:
            number = torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)
            inputs = inputs + self.position_feature(number.log().unsqueeze(-1))
        if self.lag_feature is not None:
            inputs = inputs + self.lag_feature(lag_similarity(x, lags=self.config.nearness))
        return inputs


def lag_similarity(x: Float[Tensor, "batch time dim"], *, lags: int) -> Float[Tensor, "batch time lags"]:
    """Cosines of each item with those 1 to `lags` places before it; 0 where there is none.

    An RNN adds up its inputs and would have to learn this product.
    """
    x, time = F.normalize(x, dim=-1), x.shape[1]
    cosines = [(x[:, k:] * x[:, : max(0, time - k)]).sum(dim=-1) for k in range(1, lags + 1)]
    shifted = [F.pad(cosine, (k, 0))[:, :time, None] for k, cosine in enumerate(cosines, start=1)]
    return torch.cat([x.new_zeros(*x.shape[:2], 0), *shifted], dim=-1)


def local_order(similarity: Float[Tensor, "batch time lags"]) -> Float[Tensor, "batch time features"]:
    """`lag_similarity`, and by how much the one at each lag above 1 exceeds that at lag 1.

    A swap at the border of two runs of similar items puts an item between two that are alike.
    """
    return torch.cat([similarity, torch.relu(similarity[..., 1:] - similarity[..., :1])], dim=-1)


def recurrent_layer(config: PlaylistConfig, *, inputs: int) -> nn.GRU | nn.LSTM:
    kind = nn.GRU if config.cell == "gru" else nn.LSTM
    return kind(inputs, config.hidden, config.layers, batch_first=True)


def reverse_padded(
    x: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]
) -> Float[Tensor, "batch time dim"]:
    """Each list reversed, its padding left on the right."""
    at = torch.arange(x.shape[1], device=x.device)
    mirrored = lengths[:, None] - 1 - at
    return x.gather(1, torch.where(mirrored >= 0, mirrored, at)[..., None].expand_as(x))


def _last_state(
    outputs: Float[Tensor, "batch time hidden"], lengths: Int[Tensor, " batch"]
) -> Float[Tensor, "batch hidden"]:
    """The output at the last real item; zeros for an empty list."""
    last = outputs[torch.arange(len(outputs), device=outputs.device), lengths.clamp(min=1) - 1]
    return last * (lengths > 0).unsqueeze(-1)
