"""Generalised binary cross-entropy: negative sampling without overconfidence.

Source: gSASRec (arXiv:2308.07192), section 4: the positive's probability is raised to beta, which undoes the bias of drawing few
negatives; `calibration` (t in the paper) moves between plain BCE (0) and the full correction (1).
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid


def beta(*, negatives: int, items: int, calibration: float) -> float:
    """The exponent of the positive's probability; `negatives` are drawn uniformly from `items` - 1."""
    rate = negatives / (items - 1)
    return rate * (calibration * (1 - 1 / rate) + 1 / rate)


def gbce(
    positive: Float[Tensor, " positions"],
    negative: Float[Tensor, "positions negatives"],
    *,
    beta: float,
    weights: Float[Tensor, " positions"] | None = None,
) -> Float[Tensor, ""]:
    """Mean loss of target scores against scores of drawn negatives; a negative at -inf does not count.

    With `weights` each position counts by its own.
    """
    loss = -(beta * logsigmoid(positive) + logsigmoid(-negative).sum(-1)) / (1 + negative.shape[1])
    return loss.mean() if weights is None else (weights * loss).mean()
