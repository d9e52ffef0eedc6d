"""Multisets of items to vectors in the item space: distinct elements with their counts, through one of the set encoders.

A softmax read, a mean and attention from a seed give a set and the set doubled one vector; the counts and the size that are
told here as features tell them apart (`log 1 + count` beside each element, `log 1 + n` beside the pooled vector).
"""

from dataclasses import dataclass, field
from typing import assert_never

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.encoders.deep_sets import DeepSets, DeepSetsConfig
from models.encoders.set_process import ProcessConfig, SetProcess
from models.encoders.set_transformer import SetTransformer, SetTransformerConfig
from models.errors import ConfigError

SetPooling = DeepSetsConfig | ProcessConfig | SetTransformerConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SetConfig:
    """`dim` is the width of item and set vectors; `skip` adds what the pooling gives, at first nothing, to the elements' plain
    mean.

    `counts=False` leaves the features of repeats and size out.
    """

    pooling: SetPooling = field(default_factory=ProcessConfig)
    dim: int = 64
    dropout: float = 0.2
    counts: bool = True
    skip: bool = True
    max_length: int = 256

    def __post_init__(self) -> None:
        if min(self.dim, self.max_length) < 1:
            raise ConfigError(f"{self}: dim and max_length must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout={self.dropout}: must be in [0, 1)")


class SetEncoder(nn.Module):
    """Vectors (batch, dim) of multisets that no permutation changes."""

    def __init__(self, config: SetConfig) -> None:
        super().__init__()
        self.config = config
        self.pooling = set_pooling(config.pooling, dim=config.dim)
        if config.skip:
            for value in self.pooling.to_out.parameters():
                nn.init.zeros_(value)
        self.of_count = nn.Linear(1, config.dim, bias=False) if config.counts else None
        self.of_size = nn.Linear(1, config.dim, bias=False) if config.counts else None
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "batch time dim"],
        count: Float[Tensor, "batch time"],
        real: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch dim"]:
        """`x` has the vectors of distinct items, `count` how often each stands in the set."""
        told = x if self.of_count is None else x + self.of_count(count.log().clamp(min=0).unsqueeze(-1))
        pooled = self.pooling(self.dropout(told), real)
        if self.config.skip:
            weight = (count * real).unsqueeze(-1)
            pooled = pooled + (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
        if self.of_size is not None:
            pooled = pooled + self.of_size(torch.log1p((count * real).sum(dim=1, keepdim=True)))
        return pooled


def set_pooling(config: SetPooling, *, dim: int) -> DeepSets | SetProcess | SetTransformer:
    """The part that makes one vector of many, over item vectors `dim` wide."""
    match config:
        case DeepSetsConfig():
            return DeepSets(config, dim=dim)
        case ProcessConfig():
            return SetProcess(config, dim=dim)
        case SetTransformerConfig():
            return SetTransformer(config, dim=dim)
    assert_never(config)
