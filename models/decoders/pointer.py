"""Sets written element by element: an LSTM that points at candidates, with one glimpse at the input set before each.

Source: Order Matters (Vinyals, Bengio and Kudlur, arXiv:1511.06391), section 4.1, the write block with one glimpse. There the
decoder points at the elements of the set it read. Completing a set writes elements that the set lacks, so here the glimpse
attends to the set and the pointer to `candidates`, whose `base` scores it corrects; in the paper the two are the same.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class PointerConfig:
    """`hidden` is the width of states and of the additive attention."""

    hidden: int = 64
    glimpse: bool = True

    def __post_init__(self) -> None:
        if self.hidden < 1:
            raise ConfigError(f"hidden={self.hidden}: must be at least 1")


@dataclass(frozen=True, slots=True)
class PointerContext:
    """The decoder's input: the `set`'s vector and `elements` (`real` marks them), and `candidates` with their scores `base`
    before the first step."""

    set: Float[Tensor, "batch dim"]
    elements: Float[Tensor, "batch time dim"]
    real: Bool[Tensor, "batch time"]
    candidates: Float[Tensor, "batch candidates dim"]
    base: Float[Tensor, "batch candidates"]

    def select(self, rows: Int[Tensor, " rows"]) -> "PointerContext":
        """The context of these rows of the batch, in this order."""
        elements, candidates = self.elements[rows], self.candidates[rows]
        return PointerContext(self.set[rows], elements, self.real[rows], candidates, self.base[rows])


@dataclass(frozen=True, slots=True)
class PointerState:
    """LSTM states (batch, hidden) and the context that they decode."""

    hidden: Float[Tensor, "batch hidden"]
    cell: Float[Tensor, "batch hidden"]
    context: PointerContext

    def select(self, rows: Int[Tensor, " rows"]) -> "PointerState":
        """The states of these rows of the batch, in this order."""
        return PointerState(self.hidden[rows], self.cell[rows], self.context.select(rows))


class PointerDecoder(nn.Module):
    """Logits over the candidates at each step. The scoring vector starts at zero: untrained, they are the `base` scores."""

    def __init__(self, config: PointerConfig, *, dim: int) -> None:
        super().__init__()
        self.config = config
        self.to_state = nn.Linear(dim, 2 * config.hidden)
        self.start_embedding = nn.Parameter(torch.zeros(dim))
        self.lstm = nn.LSTM(dim, config.hidden, batch_first=True)
        self.glimpse = Additive(config.hidden, dim=dim) if config.glimpse else None
        self.project_glimpse = nn.Linear(dim, config.hidden) if config.glimpse else None
        self.point = Additive(config.hidden, dim=dim)
        nn.init.zeros_(self.point.score.weight)

    def start(self, context: PointerContext) -> PointerState:
        """States from the set's vector, before the first step."""
        hidden, cell = torch.tanh(self.to_state(context.set)).chunk(2, dim=-1)
        return PointerState(hidden.contiguous(), cell.contiguous(), context)

    def forward(
        self, state: PointerState, previous: Float[Tensor, "batch time dim"]
    ) -> tuple[PointerState, Float[Tensor, "batch time candidates"]]:
        """(states afterwards, logits) where `previous` has the vectors of the elements written before each step."""
        states, (hidden, cell) = self.lstm(previous, (state.hidden[None], state.cell[None]))
        context = state.context
        if self.glimpse is not None and self.project_glimpse is not None:
            weights = self.glimpse(states, context.elements)
            weights = weights.masked_fill(~context.real[:, None], torch.finfo(weights.dtype).min).softmax(dim=-1)
            states = states + self.project_glimpse((weights * context.real[:, None]) @ context.elements)
        logits = context.base[:, None] + self.point(states, context.candidates)
        return PointerState(hidden[0], cell[0], context), logits

    def first_input(self, batch: int) -> Float[Tensor, "batch 1 dim"]:
        """The input of the first step, for `batch` rows."""
        return self.start_embedding.expand(batch, 1, -1)


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
