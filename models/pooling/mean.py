"""The vector of a text is the mean of its tokens."""

from jaxtyping import Bool, Float
from torch import Tensor


def mean(x: Float[Tensor, "batch time dim"], real: Bool[Tensor, "batch time"]) -> Float[Tensor, "batch dim"]:
    """Means over real positions; zeros for a row without any."""
    weight = real.unsqueeze(-1).to(x.dtype)
    return (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
