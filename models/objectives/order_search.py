"""Learning to write a set when its order is nobody's to say: the model searches for orders that come easily to it.

Source: Order Matters (Vinyals et al., arXiv:1511.06391), section 5.2. An order is drawn left to right from the model's
own next-element probabilities, restricted to what is left of the target set; the loss is that of the set in this order. Drawing
each step among what is left is a product of conditionals, which is proportional to p(order) only where what is ruled out does
not depend on the order; the paper passes over that. First, orders are drawn uniformly, or the search settles on whatever order
the initial weights prefer.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.decoders.constraints import State, StepDecoder


@torch.no_grad()
def sampled_order(
    writer: StepDecoder[State], targets: Int[Tensor, "batch size"], real: Bool[Tensor, "batch size"], *, seed: int
) -> Int[Tensor, "batch size"]:
    """The targets (elements of the writer's vocabulary) of each row in an order drawn from the model; padding stays at the end.

    `writer` starts with one state for each row.
    """
    generator = torch.Generator(device="cpu").manual_seed(seed)
    state, log_p = writer.start()
    left, order = real.clone(), []
    rows = torch.arange(len(targets), device=targets.device)
    for step in range(targets.shape[1]):
        drawn_at = torch.rand(targets.shape, generator=generator).clamp(1e-9, 1 - 1e-7).to(log_p)
        gumbel = -(-drawn_at.log()).log()  # the largest of log p + gumbel is drawn with probability p
        scores = (log_p.gather(1, targets) + gumbel).masked_fill(~left, -torch.inf)
        drawn = torch.where(left.any(dim=1), scores.argmax(dim=1), step)
        order.append(drawn)
        left[rows, drawn] = False
        if step + 1 < targets.shape[1]:
            state, log_p = writer.step(state, targets[rows, drawn])
    return targets.gather(1, torch.stack(order, dim=1))


def uniform_order(
    targets: Int[Tensor, "batch size"], real: Bool[Tensor, "batch size"], *, seed: int
) -> Int[Tensor, "batch size"]:
    """The targets of each row in an order drawn uniformly; padding stays at the end."""
    generator = torch.Generator(device="cpu").manual_seed(seed)
    keys = torch.rand(targets.shape, generator=generator).to(targets.device).masked_fill(~real, 2.0)
    return targets.gather(1, keys.argsort(dim=1))


def ordered_loss(
    logits: Float[Tensor, "batch size vocabulary"], targets: Int[Tensor, "batch size"], real: Bool[Tensor, "batch size"]
) -> Float[Tensor, ""]:
    """Mean of -log p over sets, each in the order given: the sum over its elements, `logits` before each of them."""
    log_p = logits.log_softmax(dim=-1).gather(2, targets[..., None]).squeeze(-1)
    return -(log_p.masked_fill(~real, 0.0).sum(dim=1)).mean()
