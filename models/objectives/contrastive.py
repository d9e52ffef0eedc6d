"""Multiple negatives ranking: each text should be nearer to its positives than to all other texts.

Source: Henderson et al. 2017 (arXiv:1705.00652), section 4, for pairs in a batch. With the vectors of earlier batches as more
keys it is the cross-batch memory of Wang et al. 2020 (arXiv:1912.06798), whose nearest negatives are the hard ones.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

MASKED_LOGIT = -1e4
"""A logit of softmax weight 0; finite, so that the gradient of a row without any other logit has no NaN."""


def multiple_negatives_loss(
    logits: Float[Tensor, "queries keys"], positives: Bool[Tensor, "queries keys"]
) -> Float[Tensor, ""]:
    """Mean over queries, and for each over its positives, of the cross-entropy of one positive among the negatives.

    One positive is never the negative of another. Keys that are neither, such as the query itself and its duplicates, have
    the logit `MASKED_LOGIT`. A query without positives does not count. Where queries and keys are the same items, both
    directions of a pair are learned: the loss is symmetric.
    """
    others = logits.masked_fill(positives, MASKED_LOGIT).logsumexp(dim=1, keepdim=True)
    losses = torch.logaddexp(logits, others) - logits
    share = positives.to(logits.dtype)
    share = share / share.sum(dim=1, keepdim=True).clamp(min=1e-9)
    return (share * losses).sum() / positives.any(dim=1).sum().clamp(min=1)


def keep_hard_negatives(
    logits: Float[Tensor, "queries keys"], positives: Bool[Tensor, "queries keys"], *, negatives: int
) -> Float[Tensor, "queries keys"]:
    """The logits with all but each query's `negatives` largest negatives set to `MASKED_LOGIT`; positives stay."""
    count = min(negatives, logits.shape[1])
    floor = logits.detach().masked_fill(positives, MASKED_LOGIT).topk(count, dim=1).values[:, -1:]
    return logits.masked_fill((logits < floor) & ~positives, MASKED_LOGIT)


def distillation_kl(
    student: Float[Tensor, "queries keys"], teacher: Float[Tensor, "queries keys"]
) -> Float[Tensor, ""]:
    """Kullback-Leibler divergence from the teacher's ranking to the student's, both as logits; the teacher gets no gradient.

    Rankings are aligned, not coordinates, so that the two may differ in width. Source: Starbucks (arXiv:2410.13230) and 2DMSE
    (arXiv:2402.14776), where a teacher that is not detached is pulled towards its worse students.
    """
    log_p, log_target = student.log_softmax(dim=1), teacher.detach().log_softmax(dim=1)
    return F.kl_div(log_p, log_target, log_target=True, reduction="batchmean")
