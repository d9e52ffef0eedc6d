"""Sets written element by element: an LSTM that points at candidates, with one look at what it completes before each.

Source: Order Matters (Vinyals, Bengio and Kudlur, arXiv:1511.06391), section 4.1, the write block with one glimpse. There the
elements pointed at are those that were read. A set that is completed lacks what is to be written, so here the glimpse goes over
the set and the pointer over `candidates`, with the score that each already has as a start; the paper's case is the two alike.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class PointerConfig:
    """`hidden` is the width of states and of what is compared."""

    hidden: int = 64
    glimpse: bool = True

    def __post_init__(self) -> None:
        if self.hidden < 1:
            raise ConfigError(f"hidden={self.hidden}: must be at least 1")


@dataclass(frozen=True, slots=True)
class Seen:
    """What is completed and what may be pointed at: the `set`'s vector and `elements` (`real` marks them), `candidates` with
    the scores `base` that they have before anything is written."""

    set: Float[Tensor, "batch dim"]
    elements: Float[Tensor, "batch time dim"]
    real: Bool[Tensor, "batch time"]
    candidates: Float[Tensor, "batch options dim"]
    base: Float[Tensor, "batch options"]

    def chosen(self, rows: Int[Tensor, " kept"]) -> "Seen":
        """Of these rows of the batch, in this order."""
        return Seen(self.set[rows], self.elements[rows], self.real[rows], self.candidates[rows], self.base[rows])


@dataclass(frozen=True, slots=True)
class PointerState:
    """LSTM states (batch, hidden), and over what."""

    hidden: Float[Tensor, "batch hidden"]
    cell: Float[Tensor, "batch hidden"]
    seen: Seen

    def chosen(self, rows: Int[Tensor, " kept"]) -> "PointerState":
        """The states of these rows of the batch, in this order."""
        return PointerState(self.hidden[rows], self.cell[rows], self.seen.chosen(rows))


class PointerDecoder(nn.Module):
    """Logits over the candidates, step by step. Its scoring vector starts at zero: untrained it repeats the `base` scores."""

    def __init__(self, config: PointerConfig, *, dim: int) -> None:
        super().__init__()
        self.config = config
        self.begin = nn.Linear(dim, 2 * config.hidden)
        self.first = nn.Parameter(torch.zeros(dim))
        self.writer = nn.LSTM(dim, config.hidden, batch_first=True)
        self.glimpse = Additive(config.hidden, dim=dim) if config.glimpse else None
        self.looked = nn.Linear(dim, config.hidden) if config.glimpse else None
        self.point = Additive(config.hidden, dim=dim)
        nn.init.zeros_(self.point.score.weight)

    def start(self, seen: Seen) -> PointerState:
        """States from the set's vector, before anything is written."""
        hidden, cell = torch.tanh(self.begin(seen.set)).chunk(2, dim=-1)
        return PointerState(hidden.contiguous(), cell.contiguous(), seen)

    def forward(
        self, state: PointerState, previous: Float[Tensor, "batch time dim"]
    ) -> tuple[PointerState, Float[Tensor, "batch time options"]]:
        """(states afterwards, logits) where `previous` has the vectors of what was written before each step."""
        written, (hidden, cell) = self.writer(previous, (state.hidden[None], state.cell[None]))
        seen = state.seen
        if self.glimpse is not None and self.looked is not None:
            weights = self.glimpse(written, seen.elements)
            weights = weights.masked_fill(~seen.real[:, None], torch.finfo(weights.dtype).min).softmax(dim=-1)
            written = written + self.looked((weights * seen.real[:, None]) @ seen.elements)
        logits = seen.base[:, None] + self.point(written, seen.candidates)
        return PointerState(hidden[0], cell[0], seen), logits

    def begun(self, batch: int) -> Float[Tensor, "batch 1 dim"]:
        """The first input of `batch` writers."""
        return self.first.expand(batch, 1, -1)


class Additive(nn.Module):
    """`v tanh(W_1 m_j + W_2 g_t)` of every state against every element."""

    def __init__(self, hidden: int, *, dim: int) -> None:
        super().__init__()
        self.of_element = nn.Linear(dim, hidden)
        self.of_state = nn.Linear(hidden, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(
        self, states: Float[Tensor, "batch steps hidden"], elements: Float[Tensor, "batch n dim"]
    ) -> Float[Tensor, "batch steps n"]:
        mixed = torch.tanh(self.of_element(elements)[:, None] + self.of_state(states)[:, :, None])
        return self.score(mixed).squeeze(-1)
