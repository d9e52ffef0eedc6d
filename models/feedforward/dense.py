"""The feed-forward half of a Transformer layer.

Source: Attention Is All You Need (arXiv:1706.03762), section 3.3, with GELU.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Dense(nn.Module):
    """Two linear maps with a GELU between; events do not see each other."""

    def __init__(self, *, dim: int, expansion: int) -> None:
        super().__init__()
        self.up = nn.Linear(dim, expansion * dim)
        self.down = nn.Linear(expansion * dim, dim)

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return self.down(F.gelu(self.up(x)))
