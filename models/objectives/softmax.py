"""Next-item losses over inner products, all positions at once."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def full_softmax(
    histories: Float[Tensor, "positions dim"],
    table: Float[Tensor, "items dim"],
    targets: Int[Tensor, " positions"],
    *,
    weights: Float[Tensor, " positions"] | None = None,
    smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Mean cross-entropy of the target among all items; with `weights` each position counts by its own."""
    if weights is None:
        return F.cross_entropy(histories @ table.T, targets, label_smoothing=smoothing)
    return (weights * F.cross_entropy(histories @ table.T, targets, label_smoothing=smoothing, reduction="none")).mean()


def sampled_softmax(
    histories: Float[Tensor, "positions dim"],
    table: Float[Tensor, "items dim"],
    targets: Int[Tensor, " positions"],
    negatives: Int[Tensor, " negatives"],
    log_q: Float[Tensor, " items"],
    *,
    weights: Float[Tensor, " positions"] | None = None,
) -> Float[Tensor, ""]:
    """Mean cross-entropy of the target among shared `negatives`, drawn with probability exp(log_q), by `weights` as above.

    Each negative's logit is lowered by its log expected count, which makes the sampled partition function an unbiased
    estimate of the rest of the full one; a negative that is the target itself is left out.
    Source: Bengio and Senecal, 2008; Yi et al., RecSys 2019 (log-Q correction).
    """
    positive = (histories * table[targets]).sum(-1, keepdim=True)
    log_expected_count = torch.log(torch.tensor(float(len(negatives)), device=table.device)) + log_q[negatives]
    negative = histories @ table[negatives].T - log_expected_count
    negative = negative.masked_fill(targets[:, None] == negatives, -torch.inf)
    losses = torch.logsumexp(torch.cat([positive, negative], dim=1), dim=1) - positive.squeeze(1)
    return losses.mean() if weights is None else (weights * losses).mean()
