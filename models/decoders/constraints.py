"""The protocol of a step-by-step decoder, and hard and soft constraints on the lists that it writes."""

from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.errors import ConfigError

State = TypeVar("State")


@runtime_checkable
class StepDecoder(Protocol[State]):
    """A model that writes lists over a vocabulary, which may be any set of candidate items."""

    def start(self) -> tuple[State, Tensor]:
        """(one state, log-probabilities (1, vocabulary) of the first item)."""
        ...

    def step(self, state: State, written: Tensor) -> tuple[State, Tensor]:
        """(states, log-probabilities (beams, vocabulary)) after the next item `written` (beams,) of each beam."""
        ...

    def select(self, state: State, rows: Tensor) -> State:
        """The states of the beams `rows` in this order; a row may be repeated."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecodingConstraints:
    """`allowed` (vocabulary,) marks the items that may be written; no run of `no_repeat_ngram_size` items repeats (1: no item
    repeats, 0: no limit).

    `logit_bias` is added to the log-probability of each item at every step. `same_group` is subtracted for each item of the
    same `group` (-1: no group) that the list contains, and a list contains at most `most_of_group` items of a group. All three
    steer the search; the reported log-probability is without them. No list has the items of one of the lists `without`, in
    whatever order.
    """

    allowed: Bool[Tensor, " vocabulary"]
    no_repeat_ngram_size: int = 1
    logit_bias: Float[Tensor, " vocabulary"] | None = None
    group: Int[Tensor, " vocabulary"] | None = None
    same_group: float = 0.0
    most_of_group: int | None = None
    without: tuple[Int[Tensor, " time"], ...] = ()

    def __post_init__(self) -> None:
        if self.no_repeat_ngram_size < 0 or self.same_group < 0:
            raise ConfigError(
                f"no_repeat_ngram_size={self.no_repeat_ngram_size}, same_group={self.same_group}: neither may be below 0"
            )
        if self.most_of_group is not None and self.most_of_group < 1:
            raise ConfigError(f"most_of_group={self.most_of_group}: at least 1, or None for no limit")
        if self.group is None and (self.same_group or self.most_of_group):
            raise ConfigError("same_group and most_of_group need to know the `group` of each item")

    def total_bias(self, written: Int[Tensor, "beams time"]) -> Float[Tensor, "beams vocabulary"]:
        """The sum to add to the log-probabilities of the next item; -inf forbids an item."""
        extra = torch.zeros(len(written), len(self.allowed), device=written.device)
        if self.logit_bias is not None:
            extra = extra + self.logit_bias
        if self.group is not None and (self.same_group or self.most_of_group):
            counts = torch.zeros(len(written), int(self.group.max()) + 2, device=written.device)
            counts.scatter_add_(1, self.group[written] + 1, torch.ones_like(written, dtype=counts.dtype))
            counts[:, 0] = 0
            same = counts[:, self.group + 1]
            extra = extra - self.same_group * same
            if self.most_of_group is not None:
                extra = extra.masked_fill(same >= self.most_of_group, -torch.inf)
        return extra.masked_fill(~self.allowed | self._repeated(written) | self._completing(written), -torch.inf)

    def _completing(self, written: Int[Tensor, "beams time"]) -> Bool[Tensor, "beams vocabulary"]:
        """True for items with which the list would have those of one of `without`."""
        out = torch.zeros(len(written), len(self.allowed), dtype=torch.bool, device=written.device)
        counts = torch.zeros_like(out, dtype=torch.int64).scatter_add_(1, written, torch.ones_like(written))
        for items in self.without:
            missing = torch.bincount(items, minlength=len(self.allowed)) - counts
            is_last = (missing >= 0).all(dim=1, keepdim=True) & (missing.sum(dim=1, keepdim=True) == 1)
            out |= is_last & (missing > 0)
        return out

    def _repeated(self, written: Int[Tensor, "beams time"]) -> Bool[Tensor, "beams vocabulary"]:
        """True for items that would complete a run of `no_repeat_ngram_size` items that the list already contains."""
        out = torch.zeros(len(written), len(self.allowed), dtype=torch.bool, device=written.device)
        if not self.no_repeat_ngram_size or written.shape[1] < self.no_repeat_ngram_size:
            return out
        runs = written.unfold(1, self.no_repeat_ngram_size, 1)  # (beams, runs, no_repeat_ngram_size)
        last = written[:, written.shape[1] - self.no_repeat_ngram_size + 1 :]
        matches = (runs[:, :, :-1] == last[:, None]).all(dim=-1)
        rows, at = matches.nonzero(as_tuple=True)
        out[rows, runs[rows, at, -1]] = True
        return out
