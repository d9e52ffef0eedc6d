"""Sets to vectors by attention through a few inducing points, pooled by attention from a seed.

Source: Set Transformer (Lee et al., arXiv:1810.00825), section 3, and `juho-lee/set_transformer`: the residual of a block is the
projected query, scores are scaled by the full width, and the feed-forward half is one linear map with a ReLU.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.errors import ConfigError, check_depth


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTransformerConfig:
    """`points` counts the inducing points (k in the paper), through which a block attends at a cost linear in the set's size."""

    hidden: int = 128
    heads: int = 4
    points: int = 16
    blocks: int = 1
    norm: bool = True

    def __post_init__(self) -> None:
        if min(self.hidden, self.heads, self.points) < 1 or self.blocks < 0:
            raise ConfigError(f"{self}: hidden, heads and points must be at least 1, blocks at least 0")
        check_depth(blocks=self.blocks)
        if self.hidden % self.heads:
            raise ConfigError(f"hidden={self.hidden} does not split into heads={self.heads}")


class AttentionBlock(nn.Module):
    """MAB(Q, K): every query attends to the keys, then a linear map with ReLU is added."""

    def __init__(self, config: SetTransformerConfig, *, queries: int, keys: int) -> None:
        super().__init__()
        self.heads = config.heads
        self.to_q = nn.Linear(queries, config.hidden)
        self.to_k = nn.Linear(keys, config.hidden)
        self.to_v = nn.Linear(keys, config.hidden)
        self.dense = nn.Linear(config.hidden, config.hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(config.hidden) if config.norm else nn.Identity() for _ in range(2))

    def forward(
        self, queries: Float[Tensor, "batch queries wide"], keys: Float[Tensor, "batch time deep"], real: Tensor | None
    ) -> Float[Tensor, "batch queries hidden"]:
        """`real` (batch, time) masks keys, None: all are real; a row without a real key attends to nothing."""
        q = self.to_q(queries)
        heads = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, self.to_k(keys), self.to_v(keys)))
        per_head, k, v = heads  # each (batch, heads, time, head_dim)
        scores = per_head @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        if real is not None:
            scores = scores.masked_fill(~real[:, None, None], torch.finfo(scores.dtype).min)
        weights = scores.softmax(dim=-1)
        if real is not None:
            weights = weights * real[:, None, None]
        x = self.norms[0](q + (weights @ v).transpose(1, 2).flatten(-2))
        return self.norms[1](x + torch.relu(self.dense(x)))


class InducedBlock(nn.Module):
    """ISAB(X) = MAB(X, MAB(I, X)): the elements attend to each other through the inducing points I."""

    def __init__(self, config: SetTransformerConfig, *, dim: int) -> None:
        super().__init__()
        self.points = nn.Parameter(torch.empty(1, config.points, config.hidden))
        nn.init.xavier_uniform_(self.points)
        self.inward = AttentionBlock(config, queries=config.hidden, keys=dim)
        self.outward = AttentionBlock(config, queries=dim, keys=config.hidden)

    def forward(
        self, x: Float[Tensor, "batch time dim"], real: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time hidden"]:
        return self.outward(x, self.inward(self.points.expand(len(x), -1, -1), x, real), None)


class SetTransformer(nn.Module):
    """ISAB blocks, then PMA with one seed: element vectors (batch, n, dim) to set vectors (batch, dim)."""

    def __init__(self, config: SetTransformerConfig, *, dim: int) -> None:
        super().__init__()
        self.config = config
        widths = [dim] + [config.hidden] * config.blocks
        self.blocks = nn.ModuleList(InducedBlock(config, dim=width) for width in widths[:-1])
        self.seed = nn.Parameter(torch.empty(1, 1, config.hidden))
        nn.init.xavier_uniform_(self.seed)
        self.pool = AttentionBlock(config, queries=config.hidden, keys=widths[-1])
        self.to_out = nn.Linear(config.hidden, dim)

    def forward(
        self, x: Float[Tensor, "batch time dim"], real: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch dim"]:
        """Set vectors; that of an empty set comes from the seed alone."""
        for block in self.blocks:
            x = block(x, real)
        return self.to_out(self.pool(self.seed.expand(len(x), -1, -1), x, real).squeeze(1))
