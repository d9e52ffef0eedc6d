"""Inputs of the encoders: padded histories with their times, padded texts."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

PADDING, MASK, FIRST_ITEM = 0, 1, 2
"""Index 0 is padding, 1 the mask token; catalogue row r has index r + FIRST_ITEM, so a table grows at its end."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The time of each event: `real` is False on padding (on the right), `order` counts from 0, `at` is in seconds."""

    real: Bool[Tensor, "batch time"]
    order: Int[Tensor, "batch time"]
    at: Float[Tensor, "batch time"] | None = None


@dataclass(frozen=True, slots=True)
class ItemBatch:
    """Histories as item indexes, oldest first."""

    items: Int[Tensor, "batch time"]
    when: Timeline


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Texts as token numbers; `real` is False on padding (on the right), `expert` is the expert of each text (None: expert 0)."""

    tokens: Int[Tensor, "batch time"]
    real: Bool[Tensor, "batch time"]
    expert: Int[Tensor, " batch"] | None = None
