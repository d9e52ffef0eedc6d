"""Diverse beam search: groups of beams, each penalised for the items of the groups before it.

Source: Vijayakumar et al. (arXiv:1610.02424), algorithm 1. `step` is its Hamming diversity: the beams of earlier groups with the
same item at the same step. For a playlist the items matter more than their positions, so `set` counts the earlier groups that
contain the item anywhere.

The paper runs the groups side by side, step by step. A group depends only on earlier ones, so running one after another gives
the same lists, and `set` can count whole lists.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from models.decoders.beam import Beams, beam_search
from models.decoders.constraints import DecodingConstraints, State, StepDecoder
from models.errors import ConfigError

Overlap = Literal["set", "step"]
MAX_WIDTH = 256
"""Of the beam that looks for a list of other items, where narrower ones find none."""


def diverse_beam_search(
    decoder: StepDecoder[State],
    *,
    length: int,
    groups: int,
    width: int,
    strength: float,
    constraints: DecodingConstraints,
    overlap: Overlap = "set",
    distinct: bool = False,
) -> list[Beams]:
    """The beams of each group, `width` of each; the first group is plain beam search. With `distinct` the best
    lists of no two groups have the same items, whatever the strength; there are fewer groups where no such list is left.

    Raises:
        ConfigError: `groups` below 1, or a negative `strength`.
    """
    if groups < 1 or strength < 0:
        raise ConfigError(f"groups={groups}, strength={strength}: at least 1 group, a strength from 0 on")
    searched: list[Beams] = []
    vocabulary = len(constraints.allowed)
    for _ in range(groups):
        counts = _counts(searched, length=length, vocabulary=vocabulary, overlap=overlap) * strength
        beams = beam_search(decoder, length=length, width=width, constraints=constraints, penalty=counts.__getitem__)
        if distinct and searched:
            longest, wider = searched[0].items.shape[1], width
            while (
                beams.items.shape[1] < longest and (wider := 4 * wider) <= MAX_WIDTH
            ):  # all beams ended in earlier lists
                beams = beam_search(
                    decoder, length=longest, width=wider, constraints=constraints, penalty=counts.__getitem__
                )
            if beams.items.shape[1] < longest:
                break
        searched.append(beams)
        if distinct:
            constraints = replace(constraints, without=(*constraints.without, beams.items[0]))
    return searched


def _counts(
    groups: Sequence[Beams], *, length: int, vocabulary: int, overlap: Overlap
) -> Float[Tensor, "length vocabulary"]:
    """How many beams of `groups` have an item at each step (`step`), or how many groups contain it anywhere (`set`)."""
    counts = torch.zeros(length, vocabulary)
    for beams in groups:
        match overlap:
            case "step":
                for step, written in enumerate(beams.items.T):
                    counts[step] += torch.bincount(written, minlength=vocabulary)
            case "set":
                counts += torch.bincount(beams.items.flatten(), minlength=vocabulary) > 0
            case _:
                assert_never(overlap)
    return counts
