"""Feed-forward experts with enforced routing: a known label, not a learned router, chooses the expert of a text.

Source: Contrastive Learning and Mixture of Experts Enables Precise Vector Embeddings (arXiv:2401.15713). Experts are copies of
the pretrained feed-forward. The authors loop over the texts of each expert; here tokens are sorted once for all layers, so that
each expert that is present does one matrix product over its own slice, and a batch of one label is not sorted at all.
"""

import copy
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.errors import ConfigError
from models.feedforward.dense import Dense


@dataclass(frozen=True, slots=True)
class Routing:
    """Which real tokens go to which expert: `order` lists them grouped by expert, `groups` has (expert, tokens) in that order.

    With one expert alone `order` is None: nothing has to move.
    """

    order: Int[Tensor, " tokens"] | None
    groups: tuple[tuple[int, int], ...]


def route(
    expert: Int[Tensor, " batch"] | Int[Tensor, "batch time"], real: Bool[Tensor, "batch time"], *, experts: int
) -> Routing:
    """The routing of a batch by the expert of each text, or of each token where a text holds several items.

    Raises:
        ConfigError: one that is not among the `experts`.
    """
    by_token = expert if expert.ndim == 2 else expert[:, None].expand_as(real)
    present, counts = torch.unique(by_token[real], return_counts=True)
    groups = tuple(zip(present.tolist(), counts.tolist(), strict=True))
    if strange := [number for number, _ in groups if not 0 <= number < experts]:
        raise ConfigError(f"expert {strange[0]}: there are {experts}, counted from 0")
    if len(groups) < 2:
        return Routing(None, groups)
    positions = real.flatten().nonzero().squeeze(1)
    return Routing(positions[by_token.flatten()[positions].argsort(stable=True)], groups)


class Experts(nn.Module):
    """One feed-forward per domain, one of which each token passes through; expert 0 is the general one.

    They are separate modules, not one stacked tensor: an expert without tokens in a batch has no gradient, so that no optimizer
    changes it.
    """

    def __init__(self, experts: list[Dense]) -> None:
        super().__init__()
        if not experts:
            raise ConfigError("no experts: at least the general one is needed")
        self.experts = nn.ModuleList(experts)

    @classmethod
    def copies(cls, dense: Dense, *, experts: int) -> "Experts":
        """`experts` copies of `dense`: the start gives exactly what `dense` gives."""
        return cls([copy.deepcopy(dense) for _ in range(experts)])

    def forward(self, x: Float[Tensor, "batch time dim"], routing: Routing) -> Float[Tensor, "batch time dim"]:
        """Each real token through its expert; padding becomes zeros, except in a batch of one expert."""
        if routing.order is None:
            only = routing.groups[0][0] if routing.groups else 0
            return self.experts[only](x)
        flat = x.flatten(0, 1)
        pieces = torch.split(flat[routing.order], [tokens for _, tokens in routing.groups])
        mixed = [self.experts[expert](piece) for (expert, _), piece in zip(routing.groups, pieces, strict=True)]
        return torch.zeros_like(flat).index_copy(0, routing.order, torch.cat(mixed)).view_as(x)
