"""Tokens to text vectors: a bidirectional Transformer that can stop after any layer, with or without experts by domain.

Source: BERT (arXiv:1810.04805). It is post-norm: each layer ends in its own norm, so an exit after any layer is normalised. The
vector is the mean of the tokens (Sentence-BERT, arXiv:1908.10084), cut and normalised by `models.pooling.nested`. Early exits
follow 2DMSE (arXiv:2402.14776). With experts (arXiv:2401.15713) the feed-forward halves of the last `expert_layers` layers
are one per domain, and a token of the domain replaces `[CLS]`.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.batch import TokenBatch
from models.errors import ConfigError, ShapeError, check_depth
from models.feedforward.dense import Dense
from models.feedforward.experts import Experts, Routing, route
from models.mixers.bidirectional import BidirectionalAttention
from models.pooling.mean import mean
from models.pooling.nested import truncate


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEncoderConfig:
    """`vocabulary` counts tokens, `max_length` the tokens read of a text; `experts=0` is a dense model."""

    vocabulary: int
    dim: int = 384
    layers: int = 6
    heads: int = 12
    expansion: int = 4
    max_length: int = 256
    norm_eps: float = 1e-12
    dropout: float = 0.0
    experts: int = 0
    expert_layers: int = 0

    def __post_init__(self) -> None:
        if min(self.vocabulary, self.dim, self.layers, self.expansion, self.max_length) < 1:
            raise ConfigError(f"{self}: vocabulary, dim, layers, expansion and max_length must be at least 1")
        check_depth(layers=self.layers)
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout={self.dropout}: must be in [0, 1)")
        if (self.experts < 1) != (self.expert_layers < 1) or self.expert_layers > self.layers:
            raise ConfigError(
                f"experts={self.experts} in expert_layers={self.expert_layers}: both 0, or at least 1 expert in 1 to "
                f"{self.layers} layers"
            )


class TextLayer(nn.Module):
    """Attention, then the feed-forward half; each is added to what came in, and the sum normalised."""

    def __init__(self, config: TextEncoderConfig, *, experts: int) -> None:
        super().__init__()
        dense = Dense(dim=config.dim, expansion=config.expansion)
        self.attention = BidirectionalAttention(dim=config.dim, heads=config.heads)
        self.attention_norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.feed = Experts.copies(dense, experts=experts) if experts else dense
        self.feed_norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Float[Tensor, "batch time dim"], real: Tensor | None, routing: Routing | None
    ) -> Float[Tensor, "batch time dim"]:
        x = self.attention_norm(x + self.dropout(self.attention(x, real)))
        mixed = self.feed(x) if routing is None else self.feed(x, routing)
        return self.feed_norm(x + self.dropout(mixed))


class TextEncoder(nn.Module):
    """Vectors of texts after any layer."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocabulary, config.dim)
        self.positions = nn.Embedding(config.max_length, config.dim)
        # tokens of domains are weights of their own, as experts are: an absent one has no gradient
        self.domains = nn.ParameterList(torch.empty(config.dim) for _ in range(config.experts))
        self.norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.dropout = nn.Dropout(config.dropout)
        dense = config.layers - config.expert_layers
        self.layers = nn.ModuleList(
            TextLayer(config, experts=config.experts if number >= dense else 0) for number in range(config.layers)
        )
        for weight in (self.tokens.weight, self.positions.weight, *self.domains):
            nn.init.normal_(weight, std=0.02)

    def forward(
        self, batch: TokenBatch, *, layers: int | None = None, dims: int | None = None
    ) -> Float[Tensor, "batch dims"]:
        """Unit vectors of the texts: the first `dims` numbers after the first `layers` layers; by default all of both.

        Raises:
            ConfigError: `layers` or `dims` that the encoder does not have, or an unknown expert.
            ShapeError: texts longer than `max_length`.
        """
        at = self.config.layers if layers is None else layers
        return truncate(self.exits(batch, {at})[at], dims)

    def exits(self, batch: TokenBatch, layers: Collection[int]) -> dict[int, Float[Tensor, "batch dim"]]:
        """Mean vectors, not normalised, after each of `layers` in one pass that ends with the deepest of them."""
        if not layers or not all(1 <= layer <= self.config.layers for layer in layers):
            raise ConfigError(f"layers={sorted(layers)}: this encoder has 1 to {self.config.layers}")
        if batch.tokens.shape[1] > self.config.max_length:
            raise ShapeError(
                f"{batch.tokens.shape[1]} tokens: this encoder reads {self.config.max_length}; cut the texts"
            )
        routing = self._routing(batch)
        real = None if bool(batch.real.all()) else batch.real
        x = self.embed(batch)
        vectors = {}
        for number, layer in enumerate(self.layers[: max(layers)], start=1):
            x = layer(x, real, routing if isinstance(layer.feed, Experts) else None)
            if number in layers:
                vectors[number] = mean(x, batch.real)
        return vectors

    def embed(self, batch: TokenBatch) -> Float[Tensor, "batch time dim"]:
        """Token vectors before the first layer."""
        x = self.tokens(batch.tokens)
        if self.config.experts:
            present, index = torch.unique(_experts(batch), return_inverse=True)
            domain_tokens = torch.stack([self.domains[expert] for expert in present.tolist() or [0]])
            x = torch.cat([domain_tokens[index][:, None], x[:, 1:]], dim=1)
        return self.dropout(self.norm(x + self.positions.weight[: x.shape[1]]))

    def _routing(self, batch: TokenBatch) -> Routing | None:
        count = self.config.experts
        return route(_experts(batch), batch.real, experts=count) if count else None


def with_experts(encoder: TextEncoder, *, experts: int, layers: int, cls: int) -> TextEncoder:
    """A dense encoder's copy whose last `layers` layers have `experts` copies of their feed-forward each.

    The tokens of the domains start as that of `[CLS]`, number `cls`: at first every expert gives the dense encoder's vectors.
    """
    if encoder.config.experts:
        raise ConfigError(f"this encoder has {encoder.config.experts} experts already; use with_expert to add one")
    wide = TextEncoder(replace(encoder.config, experts=experts, expert_layers=layers))
    weights = encoder.state_dict() | {f"domains.{expert}": encoder.tokens.weight[cls] for expert in range(experts)}
    for name in wide.state_dict():
        if ".feed.experts." in name:
            layer, _, parameter = name.partition(".experts.")
            weights[name] = weights[f"{layer}.{parameter.partition('.')[2]}"]
    return _filled(wide, {name: weights[name] for name in wide.state_dict()}, encoder)


def with_expert(encoder: TextEncoder) -> TextEncoder:
    """A copy with one more expert, which starts as the general one; the vectors of all others stay the same bits."""
    if not encoder.config.experts:
        raise ConfigError("this encoder is dense: use with_experts first")
    count = encoder.config.experts
    wide = TextEncoder(replace(encoder.config, experts=count + 1))
    weights = encoder.state_dict() | {f"domains.{count}": encoder.domains[0]}
    for name in wide.state_dict():
        weights.setdefault(name, weights[name.replace(f".experts.{count}.", ".experts.0.")])
    return _filled(wide, weights, encoder)


def expert_parameters(encoder: TextEncoder, expert: int) -> list[nn.Parameter]:
    """The weights that only `expert` uses: the token of its domain and its feed-forward weights."""
    feeds = [weight for name, weight in encoder.named_parameters() if f".feed.experts.{expert}." in name]
    return [encoder.domains[expert], *feeds]


def _filled(wide: TextEncoder, weights: dict[str, Tensor], like: TextEncoder) -> TextEncoder:
    """`wide` with these weights, in the precision, on the device and in the mode of `like`."""
    wide.to(like.tokens.weight)
    wide.load_state_dict(weights)
    return wide.train(like.training)


def _experts(batch: TokenBatch) -> Tensor:
    return batch.tokens.new_zeros(len(batch.tokens)) if batch.expert is None else batch.expert
