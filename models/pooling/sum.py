"""The vector of a set is the sum of its elements."""

from jaxtyping import Bool, Float
from torch import Tensor


def total(x: Float[Tensor, "batch time dim"], real: Bool[Tensor, "batch time"]) -> Float[Tensor, "batch dim"]:
    """Sums over real positions; unlike a mean it grows with their number."""
    return (x * real.unsqueeze(-1).to(x.dtype)).sum(dim=1)
