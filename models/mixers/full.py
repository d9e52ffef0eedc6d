"""Causal full attention: an event attends to itself and everything before it.

Source: Attention Is All You Need (arXiv:1706.03762), section 3.2, with the causal mask of its decoder. No dropout inside:
that leaves the fast kernel on a CPU; the encoder drops out on the residual instead.
"""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.batch import Timeline
from models.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class FullConfig:
    """`heads` must divide the width; `kind` names the mixer in stored settings."""

    kind: Literal["full"] = "full"
    heads: int = 2

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise ConfigError(f"heads={self.heads}: at least one is needed")


class FullAttention(nn.Module):
    """Multi-head attention over the whole past."""

    def __init__(self, config: FullConfig, *, dim: int) -> None:
        super().__init__()
        if dim % config.heads:
            raise ConfigError(f"dim={dim} does not split into heads={config.heads}")
        self.config = config
        self.to_qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Float[Tensor, "batch time dim"], when: Timeline) -> Float[Tensor, "batch time dim"]:  # noqa: ARG002  (padding is on the right, causality hides it)
        """Mix events along time."""
        qkv = self.to_qkv(x).unflatten(-1, (3, self.config.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (batch, heads, time, head_dim)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.to_out(mixed.transpose(1, 2).flatten(-2))  # heads side by side again
