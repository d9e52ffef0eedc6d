"""What a decoder asks of a model, and what the lists that it writes must and should be like."""

from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.errors import ConfigError

State = TypeVar("State")


@runtime_checkable
class StepDecoder(Protocol[State]):
    """A model that writes lists over a vocabulary, which may be any set of candidates."""

    def start(self) -> tuple[State, Tensor]:
        """(one state, log-probabilities (1, vocabulary) of the first item)."""
        ...

    def step(self, state: State, written: Tensor) -> tuple[State, Tensor]:
        """(states, log-probabilities (beams, vocabulary)) after each beam has `written` (beams,) one more."""
        ...

    def chosen(self, state: State, rows: Tensor) -> State:
        """The states of the beams `rows`, in this order; one may be taken more than once."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecodingConstraints:
    """`allowed` (vocabulary,) marks what may be written at all; no run of `block` items is written twice (1: no item comes
    twice, 0: anything goes).

    `prior` is added to the log-probability of an item at every step, `same_group` taken off for each item of the same
    `group` (-1: of none) that the list holds, and of one group there are at most `most_of_group`. All three steer the search;
    the log-probability that is reported is without them.
    """

    allowed: Bool[Tensor, " vocabulary"]
    block: int = 1
    prior: Float[Tensor, " vocabulary"] | None = None
    group: Int[Tensor, " vocabulary"] | None = None
    same_group: float = 0.0
    most_of_group: int | None = None

    def __post_init__(self) -> None:
        if self.block < 0 or self.same_group < 0:
            raise ConfigError(f"block={self.block}, same_group={self.same_group}: neither may be below 0")
        if self.most_of_group is not None and self.most_of_group < 1:
            raise ConfigError(f"most_of_group={self.most_of_group}: at least 1, or None for no limit")
        if self.group is None and (self.same_group or self.most_of_group):
            raise ConfigError("same_group and most_of_group need to know the `group` of each item")

    def steering(self, written: Int[Tensor, "beams time"]) -> Float[Tensor, "beams vocabulary"]:
        """What is added to the log-probabilities of the next item; -inf forbids it."""
        extra = torch.zeros(len(written), len(self.allowed), device=written.device)
        if self.prior is not None:
            extra = extra + self.prior
        if self.group is not None and (self.same_group or self.most_of_group):
            held = torch.zeros(len(written), int(self.group.max()) + 2, device=written.device)
            held.scatter_add_(1, self.group[written] + 1, torch.ones_like(written, dtype=held.dtype))
            held[:, 0] = 0
            same = held[:, self.group + 1]
            extra = extra - self.same_group * same
            if self.most_of_group is not None:
                extra = extra.masked_fill(same >= self.most_of_group, -torch.inf)
        return extra.masked_fill(~self.allowed | self._repeated(written), -torch.inf)

    def _repeated(self, written: Int[Tensor, "beams time"]) -> Bool[Tensor, "beams vocabulary"]:
        """What would end a run of `block` items that the list holds already."""
        out = torch.zeros(len(written), len(self.allowed), dtype=torch.bool, device=written.device)
        if not self.block or written.shape[1] < self.block:
            return out
        runs = written.unfold(1, self.block, 1)  # (beams, runs, block)
        last = written[:, written.shape[1] - self.block + 1 :]
        begun = (runs[:, :, :-1] == last[:, None]).all(dim=-1)
        rows, at = begun.nonzero(as_tuple=True)
        out[rows, runs[rows, at, -1]] = True
        return out
