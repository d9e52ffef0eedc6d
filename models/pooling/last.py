"""The vector of a history is that of its last event."""

import torch
from jaxtyping import Float
from torch import Tensor

from models.batch import Timeline


def last(x: Float[Tensor, "batch time dim"], when: Timeline) -> Float[Tensor, "batch dim"]:
    """The encoder's output at each history's last real event."""
    at = when.real.sum(dim=1).clamp(min=1) - 1
    return x[torch.arange(len(x), device=x.device), at]
