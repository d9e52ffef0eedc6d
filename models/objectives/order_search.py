"""Training a decoder on sets, which have no order: the model searches for orders that are easy for it.

Source: Order Matters (Vinyals et al., arXiv:1511.06391), section 5.2. An order is sampled left to right from the model's
next-element probabilities, restricted to the targets not written yet; the loss is that of the set in this order. Renormalising
at each step samples proportionally to p(order) only where the excluded probability does not depend on the order; the paper does
not mention that. Orders are uniform at first, or the search settles on the one that the initial weights prefer.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.decoders.constraints import State, StepDecoder


@torch.no_grad()
def sampled_order(
    decoder: StepDecoder[State], targets: Int[Tensor, "batch size"], real: Bool[Tensor, "batch size"], *, seed: int
) -> Int[Tensor, "batch size"]:
    """The targets (indexes into the decoder's vocabulary) of each row in an order sampled from the model; padding stays last.

    `decoder` starts with one state for each row.
    """
    generator = torch.Generator(device="cpu").manual_seed(seed)
    state, log_p = decoder.start()
    left, order = real.clone(), []
    rows = torch.arange(len(targets), device=targets.device)
    for step in range(targets.shape[1]):
        uniform = torch.rand(targets.shape, generator=generator).clamp(1e-9, 1 - 1e-7).to(log_p)
        gumbel = -(-uniform.log()).log()  # log p + gumbel is largest with probability p
        scores = (log_p.gather(1, targets) + gumbel).masked_fill(~left, -torch.inf)
        sampled = torch.where(left.any(dim=1), scores.argmax(dim=1), step)
        order.append(sampled)
        left[rows, sampled] = False
        if step + 1 < targets.shape[1]:
            state, log_p = decoder.step(state, targets[rows, sampled])
    return targets.gather(1, torch.stack(order, dim=1))


def uniform_order(
    targets: Int[Tensor, "batch size"], real: Bool[Tensor, "batch size"], *, seed: int
) -> Int[Tensor, "batch size"]:
    """The targets of each row in a uniformly random order; padding stays last."""
    generator = torch.Generator(device="cpu").manual_seed(seed)
    keys = torch.rand(targets.shape, generator=generator).to(targets.device).masked_fill(~real, 2.0)
    return targets.gather(1, keys.argsort(dim=1))


def ordered_loss(
    logits: Float[Tensor, "batch size vocabulary"], targets: Int[Tensor, "batch size"], real: Bool[Tensor, "batch size"]
) -> Float[Tensor, ""]:
    """Mean of -log p over sets, each in the order given: the sum over its elements, `logits` before each of them."""
    log_p = logits.log_softmax(dim=-1).gather(2, targets[..., None]).squeeze(-1)
    return -(log_p.masked_fill(~real, 0.0).sum(dim=1)).mean()
