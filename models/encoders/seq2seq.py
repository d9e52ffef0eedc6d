"""Lists to vectors that know their order: a recurrent reader, and the writer that it is trained with.

Source: Papreja et al. (arXiv:1907.01098), section 3: an autoencoder over lists whose last state is the list's vector. The source
read backwards is from Sutskever et al. (arXiv:1409.3215), section 3.3; the attention from Bahdanau et al. (arXiv:1409.0473),
appendix A.1.2. One addition: what the writer begins with says what to write, the list itself or what would follow it.

Padding is on the right, so a reader that goes forwards never sees it before the list has ended; the one that goes backwards gets
the list turned round. So the fused kernels run without packing, which costs half as much on a CPU.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.batch import Timeline
from models.errors import ConfigError, ShapeError
from models.pooling.mean import mean

Cell = Literal["gru", "lstm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaylistConfig:
    """`dim` is the width of item vectors, `hidden` that of one reading; a bidirectional reader gives twice as much.

    `backwards` reads the last item first. `counting` tells the reader how many items it has read, or it forgets how long a long
    list was; `nearness` tells it how like each item is to that many before it. `conditioned` shows the list's vector to the
    writer at every step, `attention` every state of the reader: then the vector may carry little.
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
        if self.nearness < 0:
            raise ConfigError(f"nearness={self.nearness}: a number of items from 0 on")
        if self.bidirectional and self.backwards:
            raise ConfigError("backwards=True and bidirectional=True contradict each other: it reads both ways already")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout={self.dropout}: must be in [0, 1)")

    @property
    def width(self) -> int:
        """Numbers of a reader's state."""
        return self.hidden * (2 if self.bidirectional else 1)

    @property
    def whole(self) -> int:
        """Numbers of all that lists are compared by."""
        return 2 * self.width + self.dim + max(0, 2 * self.nearness - 1)


@dataclass(frozen=True, slots=True)
class EncoderOutput:
    """What a reader makes of lists: their `vector`, the states after each item for a writer that attends, the plain mean of the
    items, and the `grain` of their order."""

    vector: Float[Tensor, "batch width"]
    states: Float[Tensor, "batch time width"]
    real: Bool[Tensor, "batch time"]
    bag: Float[Tensor, "batch dim"]
    grain: Float[Tensor, "batch grains"]

    @property
    def whole(self) -> Float[Tensor, "batch whole"]:
        """The last state beside the mean of all, the mean of the items and the grain: what lists are compared by.

        The paper compares last states, which remember the latest items best. How each item sat after the one before it shows in
        the state there, so the mean keeps more of the order throughout a long list; what a list is about is told best by its
        items themselves; and single places show in the grain alone.
        """
        return torch.cat([self.vector, mean(self.states, self.real), self.bag, self.grain], dim=-1)

    def chosen(self, rows: Int[Tensor, " kept"]) -> "EncoderOutput":
        """Of these rows of the batch, in this order."""
        return EncoderOutput(self.vector[rows], self.states[rows], self.real[rows], self.bag[rows], self.grain[rows])


class PlaylistEncoder(nn.Module):
    """Reads item vectors; the vector of a list is the state after its last item, zeros for an empty list."""

    def __init__(self, config: PlaylistConfig) -> None:
        super().__init__()
        self.config = config
        self.dropout = nn.Dropout(config.dropout)
        self.of_count = nn.Linear(1, config.dim, bias=False) if config.counting else None
        self.of_nearness = nn.Linear(config.nearness, config.dim, bias=False) if config.nearness else None
        readings = 2 if config.bidirectional else 1
        self.readers = nn.ModuleList(_recurrent(config, inputs=config.dim) for _ in range(readings))

    def forward(self, x: Float[Tensor, "batch time dim"], when: Timeline) -> EncoderOutput:
        """Vectors and states of the lists `x`; what stands on padding is meaningless.

        Raises:
            ShapeError: longer than `max_length`.
        """
        if x.shape[1] > self.config.max_length:
            raise ShapeError(f"{x.shape[1]} items: this encoder takes {self.config.max_length}; cut the list")
        lengths = when.real.sum(dim=1)
        vectors, states = [], []
        for number, reader in enumerate(self.readers):
            turned = self.config.backwards or number == 1
            read, _ = reader(self._told(turn(x, lengths) if turned else x))
            vectors.append(_after(read, lengths))
            states.append(turn(read, lengths) if turned else read)
        return EncoderOutput(
            torch.cat(vectors, dim=-1),
            torch.cat(states, dim=-1),
            when.real,
            bag=mean(x, when.real),
            grain=mean(grains(nearness(x, before=self.config.nearness)), when.real),
        )

    def _told(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        """The items as they are read, each with the logarithm of its number and how like it is to those before it."""
        told = self.dropout(x)
        if self.of_count is not None:
            number = torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)
            told = told + self.of_count(number.log().unsqueeze(-1))
        if self.of_nearness is not None:
            told = told + self.of_nearness(nearness(x, before=self.config.nearness))
        return told


def nearness(x: Float[Tensor, "batch time dim"], *, before: int) -> Float[Tensor, "batch time before"]:
    """Cosines of each item with the one before it, the one before that, ...; 0 where there is none.

    A recurrence adds up what it reads, and would have to learn this product.
    """
    x, time = F.normalize(x, dim=-1), x.shape[1]
    cosines = [(x[:, k:] * x[:, : max(0, time - k)]).sum(dim=-1) for k in range(1, before + 1)]
    shifted = [F.pad(one, (k, 0))[:, :time, None] for k, one in enumerate(cosines, start=1)]
    return torch.cat([x.new_zeros(*x.shape[:2], 0), *shifted], dim=-1)


def grains(near: Float[Tensor, "batch time before"]) -> Float[Tensor, "batch time grains"]:
    """`nearness`, and how much nearer each item is to the one k before it than to the one just before, for k > 1.

    Neighbours that are swapped where one run of like items meets the next put an item between two that are alike.
    """
    return torch.cat([near, torch.relu(near[..., 1:] - near[..., :1])], dim=-1)


@dataclass(frozen=True, slots=True)
class WriterState:
    """Where each writer stands: `hidden` and, of an LSTM, `cell` (layers, batch, hidden), and what it was told to write about."""

    hidden: Float[Tensor, "layers batch hidden"]
    cell: Float[Tensor, "layers batch hidden"] | None
    read: EncoderOutput

    def chosen(self, rows: Int[Tensor, " kept"]) -> "WriterState":
        """The states of these rows of the batch, in this order; a row may be taken more than once."""
        cell = None if self.cell is None else self.cell[:, rows]
        return WriterState(self.hidden[:, rows], cell, self.read.chosen(rows))


class PlaylistDecoder(nn.Module):
    """Writes one item after another: at each step a query, whose inner products with item vectors are the logits."""

    def __init__(self, config: PlaylistConfig) -> None:
        super().__init__()
        self.config = config
        inputs = config.dim + config.width * (config.conditioned + config.attention)
        self.begin = nn.Linear(config.width, config.layers * config.hidden * (2 if config.cell == "lstm" else 1))
        self.writer = _recurrent(config, inputs=inputs)
        self.attention = AdditiveAttention(config) if config.attention else None
        self.dropout = nn.Dropout(config.dropout)
        self.to_query = nn.Linear(config.hidden + config.width * config.attention, config.dim)

    def start(self, read: EncoderOutput) -> WriterState:
        """States that nothing has been written from yet."""
        begun = torch.tanh(self.begin(read.vector)).view(len(read.vector), -1, self.config.hidden)
        begun = begun.transpose(0, 1).contiguous()
        if self.config.cell == "gru":
            return WriterState(begun, None, read)
        hidden, cell = begun.chunk(2)
        return WriterState(hidden.contiguous(), cell.contiguous(), read)

    def forward(
        self, state: WriterState, previous: Float[Tensor, "batch time dim"]
    ) -> tuple[WriterState, Float[Tensor, "batch time dim"]]:
        """(states afterwards, queries) where `previous` has the vectors of what was written before each step.

        One fused call over time; with attention, whose read depends on the state before it, step by step as in the paper.
        """
        if self.attention is None:
            return self._run(state, self._told(state, self.dropout(previous)))
        queries = []
        for x in self.dropout(previous).split(1, dim=1):
            context = self.attention(state.hidden[-1], state.read)
            state, query = self._run(state, torch.cat([self._told(state, x), context], dim=-1), context)
            queries.append(query)
        return state, torch.cat(queries, dim=1)

    def _told(self, state: WriterState, x: Float[Tensor, "batch time dim"]) -> Tensor:
        if not self.config.conditioned:
            return x
        return torch.cat([x, state.read.vector[:, None].expand(-1, x.shape[1], -1)], dim=-1)

    def _run(self, state: WriterState, inputs: Tensor, *context: Tensor) -> tuple[WriterState, Tensor]:
        before = state.hidden if state.cell is None else (state.hidden, state.cell)
        written, after = self.writer(inputs, before)
        hidden, cell = (after, None) if state.cell is None else after
        query = self.to_query(self.dropout(torch.cat([written, *context], dim=-1)))
        return replace(state, hidden=hidden, cell=cell), query


class AdditiveAttention(nn.Module):
    """`softmax_j(v tanh(W_s s + W_h h_j))` over the reader's states."""

    def __init__(self, config: PlaylistConfig) -> None:
        super().__init__()
        self.of_state = nn.Linear(config.hidden, config.hidden, bias=False)
        self.of_read = nn.Linear(config.width, config.hidden, bias=False)
        self.score = nn.Linear(config.hidden, 1, bias=False)

    def forward(self, state: Float[Tensor, "batch hidden"], read: EncoderOutput) -> Float[Tensor, "batch 1 width"]:
        """What the writer in `state` reads; zeros from an empty list."""
        scores = self.score(torch.tanh(self.of_state(state)[:, None] + self.of_read(read.states))).squeeze(-1)
        weights = scores.masked_fill(~read.real, torch.finfo(scores.dtype).min).softmax(dim=-1) * read.real
        return weights[:, None] @ read.states


def _recurrent(config: PlaylistConfig, *, inputs: int) -> nn.GRU | nn.LSTM:
    kind = nn.GRU if config.cell == "gru" else nn.LSTM
    return kind(inputs, config.hidden, config.layers, batch_first=True)


def turn(x: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]) -> Float[Tensor, "batch time dim"]:
    """Each list turned round, its padding left where it is."""
    at = torch.arange(x.shape[1], device=x.device)
    mirrored = lengths[:, None] - 1 - at
    return x.gather(1, torch.where(mirrored >= 0, mirrored, at)[..., None].expand_as(x))


def _after(read: Float[Tensor, "batch time hidden"], lengths: Int[Tensor, " batch"]) -> Float[Tensor, "batch hidden"]:
    """The state after the last real item; zeros where there is none."""
    last = read[torch.arange(len(read), device=read.device), lengths.clamp(min=1) - 1]
    return last * (lengths > 0).unsqueeze(-1)
