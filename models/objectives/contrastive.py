"""Multiple negatives ranking: each text should be nearer to its partners than all other texts are.

Source: Henderson et al. 2017 (arXiv:1705.00652), section 4, for pairs in a batch. With vectors kept from earlier batches as more
keys it is the cross-batch memory of Wang et al. 2020 (arXiv:1912.06798), and those nearest are the hard negatives of the moment.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

MASKED_LOGIT = -1e4
"""A logit that no softmax sees, finite so that a row of nothing else has no NaN in its gradient."""


def multiple_negatives_loss(
    logits: Float[Tensor, "queries keys"], partners: Bool[Tensor, "queries keys"]
) -> Float[Tensor, ""]:
    """Mean over queries, and within each over its partners, of the partner's cross-entropy among the negatives.

    One partner is never the negative of another. Other keys that are no negative, as the query itself and its equals, have
    the logit `MASKED_LOGIT`. A query without any partner counts nothing. Where queries and keys are the same items, both
    directions of a pair are learned: the loss is symmetric.
    """
    others = logits.masked_fill(partners, MASKED_LOGIT).logsumexp(dim=1, keepdim=True)
    losses = torch.logaddexp(logits, others) - logits
    share = partners.to(logits.dtype)
    share = share / share.sum(dim=1, keepdim=True).clamp(min=1e-9)
    return (share * losses).sum() / partners.any(dim=1).sum().clamp(min=1)


def keep_hard_negatives(
    logits: Float[Tensor, "queries keys"], partners: Bool[Tensor, "queries keys"], *, negatives: int
) -> Float[Tensor, "queries keys"]:
    """The logits with all but each query's `negatives` largest negatives made impossible; partners stay."""
    kept = min(negatives, logits.shape[1])
    floor = logits.detach().masked_fill(partners, MASKED_LOGIT).topk(kept, dim=1).values[:, -1:]
    return logits.masked_fill((logits < floor) & ~partners, MASKED_LOGIT)


def distillation_kl(
    student: Float[Tensor, "queries keys"], teacher: Float[Tensor, "queries keys"]
) -> Float[Tensor, ""]:
    """Kullback-Leibler divergence from the teacher's ranking to the student's, both as logits; the teacher learns nothing.

    Rankings are aligned, not coordinates, so that the two may differ in width. Source: Starbucks (arXiv:2410.13230) and 2DMSE
    (arXiv:2402.14776), where a teacher that is not detached is pulled towards its worse students.
    """
    own, aim = student.log_softmax(dim=1), teacher.detach().log_softmax(dim=1)
    return F.kl_div(own, aim, log_target=True, reduction="batchmean")
