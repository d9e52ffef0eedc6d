"""Settings and training data of the item-text encoder."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Literal

from models.errors import ConfigError
from models.objectives.nested import Pair
from recsys.data.cooccurrence import Pairs, PairsConfig
from recsys.errors import check_ranges
from recsys.training.loop import LoopConfig

NAME = "item-text"


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemTextRecipe:
    """How the encoder is built and trained.

    `start` names a checkpoint (`packaged`, a folder, a hub name) or is `random`; `heads`, `vocabulary` and `width` (default: 384)
    are those of a random start: a checkpoint of another width is refused. `dims` is the width of the whole encoder's vectors, if
    not all. `offered` are the (layers, dims) pairs trained along with it. The first `frozen` layers, and the token vectors below
    them, are not trained.

    Each domain with at least `expert_pairs` pairs gets its own expert in the last `expert_layers` layers (default: all trained
    layers), if there are two or more such domains; it learns at `expert_rate` times the common rate. All others share the general
    one, which also sees the share `label_dropout` of all batches.

    A batch has about `texts` texts, of which `beside` an anchor are its partners; `power` flattens the sizes of domains. `stay`
    weighs distillation from the rankings of the start, `general_stay` that of the general expert, and `salad_stay` the same on
    random texts. `keep` is the share of the start in the final weights, `held_out` that of the items which the figures are
    measured on. With `compare` a model of each size is trained alone, too, and a size that falls behind its own is withheld.
    """

    start: str = "packaged"
    layers: int = 6
    width: int | None = None
    heads: int = 12
    vocabulary: int = 8000
    max_length: int = 64
    offered: tuple[Pair, ...] = ((3, 64), (3, 384), (6, 64), (6, 384))
    nesting: Literal["fixed", "sampled"] = "fixed"
    align: float = 1.0
    expert_layers: int | None = None
    expert_rate: float = 3.0
    expert_pairs: int = 50
    label_dropout: float = 0.1
    frozen: int = 0
    texts: int = 128
    beside: int = 1
    power: float = 0.5
    temperature: float = 0.05
    hard_negatives: int | None = None
    dims: int | None = None
    dropout: float = 0.1
    stay: float = 1.5
    general_stay: float = 3.0
    salad_stay: float = 1.0
    keep: float = 0.0
    held_out: float = 0.1
    compare: bool = False
    pairs: PairsConfig = field(default_factory=PairsConfig)
    half_precision: Literal["auto", "on", "off"] = "auto"
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(epochs=2, learning_rate=3e-4, weight_decay=0.01))

    def __post_init__(self) -> None:
        check_ranges(self, layers=(1, inf), heads=(1, inf), vocabulary=(1, inf), expert_pairs=(1, inf), texts=(2, inf))
        check_ranges(self, max_length=(4, inf), temperature=(1e-3, inf), beside=(0, inf), align=(0, inf), stay=(0, inf))
        check_ranges(self, general_stay=(0, inf), salad_stay=(0, inf), power=(0, 10), expert_rate=(0, 100))
        check_ranges(
            self, frozen=(0, self.layers - 1), dropout=(0, 0.9), label_dropout=(0, 1), keep=(0, 1), held_out=(0, 0.9)
        )
        for name in ("width", "dims", "hard_negatives"):
            if getattr(self, name) is not None:
                check_ranges(self, **{name: (1, inf)})
        if self.expert_layers is not None:
            check_ranges(self, expert_layers=(0, self.layers))
        if self.compare and not self.held_out:
            raise ConfigError("compare=true with held_out=0: sizes are compared on items held out")

    @property
    def depth(self) -> int:
        """How many layers have experts."""
        return self.layers - self.frozen if self.expert_layers is None else self.expert_layers

    def single_size(self, layers: int, dims: int) -> "ItemTextRecipe":
        """The same recipe for a model of one size only."""
        return replace(
            self,
            layers=layers,
            dims=dims,
            offered=((layers, dims),),
            nesting="fixed",
            expert_layers=None if self.expert_layers is None else min(self.expert_layers, layers),
            frozen=min(self.frozen, layers - 1),
            compare=False,
        )


@dataclass(frozen=True, slots=True, eq=False)
class TextData:
    """Training data: texts and domains of catalogue rows, and the pairs between them."""

    texts: Sequence[str]
    domains: Sequence[str | None]
    pairs: Pairs
