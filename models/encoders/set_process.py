"""Sets to vectors by reading them several times over: the read and process blocks of Read-Process-Write.

Source: Order Matters (Vinyals, Bengio and Kudlur, arXiv:1511.06391), section 4.1. The write block: `models/decoders/pointer.py`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessConfig:
    """`steps` counts the readings (T in the paper), `hidden` is the width of memory and state."""

    hidden: int = 128
    steps: int = 5

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.steps < 0:
            raise ConfigError(f"{self}: hidden must be at least 1, steps at least 0")


class SetProcess(nn.Module):
    """Element vectors (batch, n, dim) to set vectors (batch, dim): a projection of `[q ; r]` after the last step."""

    def __init__(self, config: ProcessConfig, *, dim: int) -> None:
        super().__init__()
        self.config = config
        self.read = nn.Sequential(nn.Linear(dim, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.hidden))
        # the paper's LSTM has no input: what it computes from is [q ; r] alone, which stands here as the input of a cell whose
        # own recurrence on q would say the same again
        self.cell = nn.Linear(2 * config.hidden, 4 * config.hidden)
        self.to_out = nn.Linear(2 * config.hidden, dim)

    def forward(
        self, x: Float[Tensor, "batch time dim"], real: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch dim"]:
        """Set vectors; an empty set reads zeros."""
        return self.to_out(self.process(self.read(x), real))

    def process(
        self, memory: Float[Tensor, "batch time hidden"], real: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch both"]:
        """`[q ; r]` after all steps: each asks the memory with a state q and reads the mean r that its scores weigh."""
        query = cell = memory.new_zeros(len(memory), self.config.hidden)
        state = memory.new_zeros(len(memory), 2 * self.config.hidden)
        for _ in range(self.config.steps):
            taken, kept, new, shown = self.cell(state).chunk(4, dim=-1)
            cell = kept.sigmoid() * cell + taken.sigmoid() * new.tanh()
            query = shown.sigmoid() * cell.tanh()
            state = torch.cat([query, attend(query, memory, real)], dim=-1)
        return state


def attend(
    query: Float[Tensor, "batch hidden"], memory: Float[Tensor, "batch time hidden"], real: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch hidden"]:
    """The mean of the memory under softmax(memory . query); zeros where nothing is real."""
    scores = (memory @ query.unsqueeze(-1)).squeeze(-1)
    weights = scores.masked_fill(~real, torch.finfo(scores.dtype).min).softmax(dim=-1) * real
    return (weights.unsqueeze(1) @ memory).squeeze(1)
