"""The decoder of the playlist encoder: recurrent, with additive attention over what was encoded."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from models.encoders.seq2seq import EncoderOutput, PlaylistConfig, recurrent_layer


@dataclass(frozen=True, slots=True)
class DecoderState:
    """`hidden` and, of an LSTM, `cell` (layers, batch, hidden), and the lists that are decoded."""

    hidden: Float[Tensor, "layers batch hidden"]
    cell: Float[Tensor, "layers batch hidden"] | None
    encoder_output: EncoderOutput

    def select(self, rows: Int[Tensor, " rows"]) -> "DecoderState":
        """The states of these rows of the batch, in this order; a row may be repeated."""
        cell = None if self.cell is None else self.cell[:, rows]
        return DecoderState(self.hidden[:, rows], cell, self.encoder_output.select(rows))


class PlaylistDecoder(nn.Module):
    """One query at each step, whose inner products with item vectors are the logits of the next item."""

    def __init__(self, config: PlaylistConfig) -> None:
        super().__init__()
        self.config = config
        inputs = config.dim + config.width * (config.conditioned + config.attention)
        self.to_state = nn.Linear(config.width, config.layers * config.hidden * (2 if config.cell == "lstm" else 1))
        self.rnn = recurrent_layer(config, inputs=inputs)
        self.attention = AdditiveAttention(config) if config.attention else None
        self.dropout = nn.Dropout(config.dropout)
        self.to_query = nn.Linear(config.hidden + config.width * config.attention, config.dim)

    def start(self, encoder_output: EncoderOutput) -> DecoderState:
        """States before the first step."""
        last_state = encoder_output.last_state
        initial = torch.tanh(self.to_state(last_state)).view(len(last_state), -1, self.config.hidden)
        initial = initial.transpose(0, 1).contiguous()
        if self.config.cell == "gru":
            return DecoderState(initial, None, encoder_output)
        hidden, cell = initial.chunk(2)
        return DecoderState(hidden.contiguous(), cell.contiguous(), encoder_output)

    def forward(
        self, state: DecoderState, previous: Float[Tensor, "batch time dim"]
    ) -> tuple[DecoderState, Float[Tensor, "batch time dim"]]:
        """(states afterwards, queries) where `previous` has the vectors of the items written before each step.

        One fused call over time; with attention, whose context depends on the previous state, step by step as in the paper.
        """
        if self.attention is None:
            return self._run(state, self._with_last_state(state, self.dropout(previous)))
        queries = []
        for x in self.dropout(previous).split(1, dim=1):
            context = self.attention(state.hidden[-1], state.encoder_output)
            state, query = self._run(state, torch.cat([self._with_last_state(state, x), context], dim=-1), context)
            queries.append(query)
        return state, torch.cat(queries, dim=1)

    def _with_last_state(self, state: DecoderState, x: Float[Tensor, "batch time dim"]) -> Tensor:
        if not self.config.conditioned:
            return x
        return torch.cat([x, state.encoder_output.last_state[:, None].expand(-1, x.shape[1], -1)], dim=-1)

    def _run(self, state: DecoderState, inputs: Tensor, *context: Tensor) -> tuple[DecoderState, Tensor]:
        before = state.hidden if state.cell is None else (state.hidden, state.cell)
        outputs, after = self.rnn(inputs, before)
        hidden, cell = (after, None) if state.cell is None else after
        query = self.to_query(self.dropout(torch.cat([outputs, *context], dim=-1)))
        return replace(state, hidden=hidden, cell=cell), query


class AdditiveAttention(nn.Module):
    """`softmax_j(v tanh(W_s s + W_h h_j))`: attention of a decoder state s over the encoder states h_j."""

    def __init__(self, config: PlaylistConfig) -> None:
        super().__init__()
        self.of_state = nn.Linear(config.hidden, config.hidden, bias=False)
        self.of_encoder = nn.Linear(config.width, config.hidden, bias=False)
        self.score = nn.Linear(config.hidden, 1, bias=False)

    def forward(
        self, state: Float[Tensor, "batch hidden"], encoder_output: EncoderOutput
    ) -> Float[Tensor, "batch 1 width"]:
        """The context vector of a decoder in `state`; zeros for an empty list."""
        states, real = encoder_output.states, encoder_output.real
        scores = self.score(torch.tanh(self.of_state(state)[:, None] + self.of_encoder(states))).squeeze(-1)
        weights = scores.masked_fill(~real, torch.finfo(scores.dtype).min).softmax(dim=-1) * real
        return weights[:, None] @ states
