"""Item vectors to history vectors: a causal pre-norm Transformer.

Source: SASRec (arXiv:1808.09781), section III, with pre-norm layers and positions counted from the start of the window.
Its input is vectors, not ids, so that a history may contain items known by their text alone.
"""

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor, nn

from models.batch import Timeline
from models.errors import ConfigError, ShapeError, check_depth
from models.feedforward.dense import Dense
from models.mixers import MixerConfig, build_mixer
from models.mixers.full import FullConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceConfig:
    """`dim` is the width of item and history vectors, `max_length` the events looked at, `dropout` that of the residual."""

    dim: int = 64
    layers: int = 2
    expansion: int = 2
    dropout: float = 0.2
    max_length: int = 50
    mixer: MixerConfig = field(default_factory=FullConfig)

    def __post_init__(self) -> None:
        if min(self.dim, self.layers, self.expansion, self.max_length) < 1:
            raise ConfigError(f"{self}: dim, layers, expansion and max_length must be at least 1")
        check_depth(layers=self.layers)
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout={self.dropout}: must be in [0, 1)")


class SequenceLayer(nn.Module):
    """Mix along time, then along the width, each on a normalised input and added to what came in."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.mixer_norm = nn.LayerNorm(config.dim)
        self.mixer = build_mixer(config.mixer, dim=config.dim)
        self.dense_norm = nn.LayerNorm(config.dim)
        self.dense = Dense(dim=config.dim, expansion=config.expansion)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "batch time dim"], when: Timeline) -> Float[Tensor, "batch time dim"]:
        x = x + self.dropout(self.mixer(self.mixer_norm(x), when))
        return x + self.dropout(self.dense(self.dense_norm(x)))


class SequenceEncoder(nn.Module):
    """History vectors after each event; position t knows events 0..t."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.config = config
        self.position = nn.Embedding(config.max_length, config.dim)
        nn.init.normal_(self.position.weight, std=0.02)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(SequenceLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, x: Float[Tensor, "batch time dim"], when: Timeline) -> Float[Tensor, "batch time dim"]:
        """History vectors of item vectors `x`; the result at padding is meaningless.

        Raises:
            ShapeError: longer than `max_length`.
        """
        if x.shape[1] > self.config.max_length:
            raise ShapeError(f"{x.shape[1]} events: this encoder takes {self.config.max_length}; cut to the last ones")
        x = self.dropout(x + self.position(when.order))
        for layer in self.layers:
            x = layer(x, when)
        return self.norm(x)
