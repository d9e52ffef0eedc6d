"""Beam search: the partial lists of highest probability, extended together.

Source: Sutskever et al. (arXiv:1409.3215), section 3.2. Lists have one fixed length here, so that nothing ends early and no
length is favoured.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.decoders.constraints import DecodingConstraints, State, StepDecoder
from models.errors import ConfigError

Penalty = Callable[[int], Tensor]
"""Maps step t (from 0) to the penalty of each item of the vocabulary at this step."""


@dataclass(frozen=True, slots=True)
class Beams:
    """Lists, best first by total score; `log_probability` is the model's own, without constraints and penalties."""

    items: Int[Tensor, "beams time"]
    log_probability: Float[Tensor, " beams"]


@torch.inference_mode()
def beam_search(
    decoder: StepDecoder[State],
    *,
    length: int,
    width: int,
    constraints: DecodingConstraints,
    penalty: Penalty | None = None,
) -> Beams:
    """Up to `width` lists of `length` items; all are shorter where the constraints leave no item to add.

    Raises:
        ConfigError: `length` or `width` below 1.
    """
    if length < 1 or width < 1:
        raise ConfigError(f"length={length}, width={width}: both must be at least 1")
    state, log_p = decoder.start()
    vocabulary = log_p.shape[1]
    items = torch.empty(1, 0, dtype=torch.int64, device=log_p.device)
    log_probability, total = log_p.new_zeros(1), log_p.new_zeros(1)
    for step in range(length):
        if step:
            state, log_p = decoder.step(state, items[:, -1])
        scores = total[:, None] + log_p + constraints.total_bias(items).to(log_p.dtype)
        if penalty is not None:
            scores = scores - penalty(step)
        left = int((scores > -torch.inf).sum())
        if not left:
            break
        best = scores.flatten().topk(min(width, left))
        rows, chosen = best.indices // vocabulary, best.indices % vocabulary
        items = torch.cat([items[rows], chosen[:, None]], dim=1)
        log_probability, total = log_probability[rows] + log_p[rows, chosen], best.values
        state = decoder.select(state, rows)
    return Beams(items, log_probability)
