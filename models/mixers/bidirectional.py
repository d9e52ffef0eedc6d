"""Full attention in both directions: every position attends to every real one.

Source: BERT (arXiv:1810.04805), section 3, whose linear maps have biases. No dropout inside, as in `full.py`.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.errors import ConfigError


class BidirectionalAttention(nn.Module):
    """Multi-head attention over a whole text; `heads` must divide `dim`."""

    def __init__(self, *, dim: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ConfigError(f"dim={dim} does not split into heads={heads}")
        self.heads = heads
        self.to_qkv = nn.Linear(dim, 3 * dim)
        self.to_out = nn.Linear(dim, dim)

    def forward(
        self, x: Float[Tensor, "batch time dim"], real: Bool[Tensor, "batch time"] | None
    ) -> Float[Tensor, "batch time dim"]:
        """Mix positions; `real` hides padding, None says that there is none."""
        qkv = self.to_qkv(x).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (batch, heads, time, head_dim)
        visible = None if real is None else real[:, None, None, :]
        # the fused kernel's backward pass in bfloat16 takes ten times as long as this on a CPU
        if q.dtype == torch.bfloat16 and torch.is_grad_enabled():
            mixed = _attention(q, k, v, visible)
        else:
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=visible)
        return self.to_out(mixed.transpose(1, 2).flatten(-2))  # heads side by side again


def _attention(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None) -> Tensor:
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if visible is not None:
        scores = scores.masked_fill(~visible, -torch.inf)
    return scores.softmax(-1) @ v
