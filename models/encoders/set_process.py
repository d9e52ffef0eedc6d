"""Sets to vectors by several rounds of attention: the read and process blocks of Read-Process-Write.

Source: Order Matters (Vinyals, Bengio and Kudlur, arXiv:1511.06391), section 4.1, equations 3 to 7. The write block is in
`models/decoders/pointer.py`. In the paper's letters: q is the query, r what attention reads from the memory, q* = [q ; r].
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.errors import ConfigError, check_depth


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessConfig:
    """`steps` counts the rounds of attention (T in the paper), `hidden` is the width of memory and query."""

    hidden: int = 128
    steps: int = 5

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.steps < 0:
            raise ConfigError(f"{self}: hidden must be at least 1, steps at least 0")
        check_depth(steps=self.steps)


class SetProcess(nn.Module):
    """Element vectors (batch, n, dim) to set vectors (batch, dim): a projection of q* after the last step."""

    def __init__(self, config: ProcessConfig, *, dim: int) -> None:
        super().__init__()
        self.config = config
        self.read_block = nn.Sequential(
            nn.Linear(dim, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.hidden)
        )
        # the paper's LSTM takes no input, only its state q* = [q ; r] (eq. 3); its recurrence on q is part of that, so one
        # linear map of q* gives all four gates
        self.gates = nn.Linear(2 * config.hidden, 4 * config.hidden)
        self.to_out = nn.Linear(2 * config.hidden, dim)

    def forward(
        self, x: Float[Tensor, "batch time dim"], real: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch dim"]:
        """Set vectors; attention over an empty set reads zeros."""
        return self.to_out(self.process(self.read_block(x), real))

    def process(
        self, memory: Float[Tensor, "batch time hidden"], real: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch both"]:
        """q* after all steps; each step attends to the memory with its query q and reads the weighted mean r."""
        query = cell = memory.new_zeros(len(memory), self.config.hidden)
        state = memory.new_zeros(len(memory), 2 * self.config.hidden)
        for _ in range(self.config.steps):
            input_gate, forget_gate, candidate, output_gate = self.gates(state).chunk(4, dim=-1)
            cell = forget_gate.sigmoid() * cell + input_gate.sigmoid() * candidate.tanh()
            query = output_gate.sigmoid() * cell.tanh()
            state = torch.cat([query, attend(query, memory, real)], dim=-1)
        return state


def attend(
    query: Float[Tensor, "batch hidden"], memory: Float[Tensor, "batch time hidden"], real: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch hidden"]:
    """The mean of the memory under softmax(memory . query); zeros where nothing is real."""
    scores = (memory @ query.unsqueeze(-1)).squeeze(-1)
    weights = scores.masked_fill(~real, torch.finfo(scores.dtype).min).softmax(dim=-1) * real
    return (weights.unsqueeze(1) @ memory).squeeze(1)
