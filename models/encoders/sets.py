"""Multisets of items to vectors in the item space: distinct elements with their counts, through one of the set encoders.

Softmax attention and means give a set and the same set doubled one vector. Two features tell them apart: `log count` is added
to each element, `log(1 + n)` to the pooled vector; both weigh nothing at first.
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
    """`dim` is the width of item and set vectors; `skip` adds the pooled vector, zeros at first, to the elements' plain
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
    """Vectors (batch, dim) of multisets, invariant to permutations."""

    def __init__(self, config: SetConfig) -> None:
        super().__init__()
        self.config = config
        self.pooling = set_pooling(config.pooling, dim=config.dim)
        if config.skip:
            for value in self.pooling.to_out.parameters():
                nn.init.zeros_(value)
        self.count_feature = _feature(config.dim) if config.counts else None
        self.size_feature = _feature(config.dim) if config.counts else None
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "batch time dim"],
        count: Float[Tensor, "batch time"],
        real: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch dim"]:
        """Set vectors; `x` has the vectors of distinct items, `count` how often the set contains each."""
        inputs = x if self.count_feature is None else x + self.count_feature(count.log().clamp(min=0).unsqueeze(-1))
        pooled = self.pooling(self.dropout(inputs), real)
        if self.config.skip:
            weight = (count * real).unsqueeze(-1)
            pooled = pooled + (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
        if self.size_feature is not None:
            pooled = pooled + self.size_feature(torch.log1p((count * real).sum(dim=1, keepdim=True)))
        return pooled


def _feature(dim: int) -> nn.Linear:
    """A number as a vector, zeros at first: a random one would be several times as long as the mean of a large set."""
    feature = nn.Linear(1, dim, bias=False)
    nn.init.zeros_(feature.weight)
    return feature


def set_pooling(config: SetPooling, *, dim: int) -> DeepSets | SetProcess | SetTransformer:
    """The pooling of these settings, over item vectors `dim` wide."""
    match config:
        case DeepSetsConfig():
            return DeepSets(config, dim=dim)
        case ProcessConfig():
            return SetProcess(config, dim=dim)
        case SetTransformerConfig():
            return SetTransformer(config, dim=dim)
    assert_never(config)
