"""Diverse beam search: groups of beams, each kept away from what the groups before it wrote.

Source: Vijayakumar et al. (arXiv:1610.02424), algorithm 1. `step` is its Hamming diversity: what earlier groups wrote at the same
step. A list is about which items it holds, not where, so `set` counts the earlier groups that hold the item anywhere.

The paper runs the groups side by side, step by step. A group depends on earlier ones alone, so one after another gives the
same lists, and `set` sees all that those will hold.
"""

from collections.abc import Sequence
from typing import Literal, assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from models.decoders.beam import Beams, beam_search
from models.decoders.constraints import DecodingConstraints, State, StepDecoder
from models.errors import ConfigError

Overlap = Literal["set", "step"]


def diverse_beam_search(
    writer: StepDecoder[State],
    *,
    length: int,
    groups: int,
    width: int,
    strength: float,
    rules: DecodingConstraints,
    overlap: Overlap = "set",
) -> list[Beams]:
    """The beams of each of `groups`, every one `width` wide with a pool of its own; the first is plain beam search.

    Raises:
        ConfigError: `groups` below 1, or a negative `strength`.
    """
    if groups < 1 or strength < 0:
        raise ConfigError(f"groups={groups}, strength={strength}: at least 1 group, a strength from 0 on")
    found: list[Beams] = []
    vocabulary = len(rules.allowed)
    for _ in range(groups):
        counts = _counts(found, length=length, vocabulary=vocabulary, overlap=overlap) * strength
        found.append(beam_search(writer, length=length, width=width, rules=rules, penalty=lambda t, c=counts: c[t]))  # type: ignore[misc]
    return found


def _counts(
    found: Sequence[Beams], *, length: int, vocabulary: int, overlap: Overlap
) -> Float[Tensor, "length vocabulary"]:
    """How many earlier beams wrote an item at each step, or how many earlier groups hold it at all."""
    counts = torch.zeros(length, vocabulary)
    for beams in found:
        match overlap:
            case "step":
                for step, written in enumerate(beams.items.T):
                    counts[step] += torch.bincount(written, minlength=vocabulary)
            case "set":
                counts += torch.bincount(beams.items.flatten(), minlength=vocabulary) > 0
            case _:
                assert_never(overlap)
    return counts
