"""Sets to vectors by pooling: `rho(pool_i phi(x_i))`.

Source: Deep Sets (Zaheer et al., arXiv:1703.06114), theorem 2. Without `phi` and `rho` it is the plain mean or sum.
"""

from dataclasses import dataclass
from typing import Literal, assert_never

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.errors import ConfigError, check_depth
from models.pooling.mean import mean
from models.pooling.sum import total


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepSetsConfig:
    """`layers` counts those of `phi` and of `rho`, each `hidden` wide."""

    hidden: int = 128
    layers: int = 2
    pool: Literal["mean", "sum", "max"] = "mean"

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.layers < 0:
            raise ConfigError(f"{self}: hidden must be at least 1, layers at least 0")
        check_depth(layers=self.layers)


class DeepSets(nn.Module):
    """Element vectors (batch, n, dim) to set vectors (batch, dim) invariant to permutations."""

    def __init__(self, config: DeepSetsConfig, *, dim: int) -> None:
        super().__init__()
        self.config = config
        self.phi, width = _dense(dim, config.hidden, layers=config.layers)
        self.rho, width = _dense(width, config.hidden, layers=config.layers)
        self.to_out = nn.Linear(width, dim) if config.layers else nn.Identity()

    def forward(
        self, x: Float[Tensor, "batch time dim"], real: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch dim"]:
        """Set vectors; that of an empty set is what `rho` makes of zeros."""
        return self.to_out(self.rho(self._pooled(self.phi(x), real)))

    def _pooled(self, x: Tensor, real: Tensor) -> Tensor:
        match self.config.pool:
            case "mean":
                return mean(x, real)
            case "sum":
                return total(x, real)
            case "max":
                highest = x.masked_fill(~real.unsqueeze(-1), -torch.inf).amax(dim=1)
                return torch.where(real.any(dim=1, keepdim=True), highest, 0.0)
        assert_never(self.config.pool)


def _dense(inputs: int, hidden: int, *, layers: int) -> tuple[nn.Sequential, int]:
    """(layers with a ReLU after each, their width)."""
    parts: list[nn.Module] = []
    for _ in range(layers):
        parts += [nn.Linear(inputs, hidden), nn.ReLU()]
        inputs = hidden
    return nn.Sequential(*parts), inputs
