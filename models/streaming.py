"""What a sequence mixer or encoder can do: take a whole history at once and, if it streams, one event after another.

Streaming makes the cost of a new event independent of the history's length where the state has a fixed size, as in a recurrence.
"""

from typing import Protocol, TypeVar, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from models.batch import Timeline

State = TypeVar("State")


@runtime_checkable
class Mixer(Protocol):
    """Causal: row t of the result depends on events 0..t alone, never on padding or on other rows of the batch."""

    def forward(self, x: Float[Tensor, "batch time dim"], when: Timeline) -> Float[Tensor, "batch time dim"]:
        """Vectors of all events, each after the events up to it; the result at padding is meaningless."""
        ...


@runtime_checkable
class StreamingMixer(Mixer, Protocol[State]):
    """A mixer that also steps. `State` is a frozen dataclass of tensors, whose first axis is the batch.

    Stepping through a history gives the rows of `forward`, up to rounding.
    """

    def start(self, batch_size: int) -> State:
        """The state before the first event, on the device and in the precision of the weights."""
        ...

    def step(
        self, state: State, x: Float[Tensor, "batch 1 dim"], when: Timeline
    ) -> tuple[State, Float[Tensor, "batch 1 dim"]]:
        """(state after one event of each row, vectors of these events); `when` (batch, 1) places the events.

        A row whose event is padding keeps its state. `state` itself is not changed.
        """
        ...
