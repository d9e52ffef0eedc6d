"""The settings that are tried on validation: where a search starts, and how it goes on from a value to its neighbours."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import exp, inf, log
from types import MappingProxyType
from typing import Any, Literal

SMALL_ITEMS = 5000
"""Catalogues up to this size are fitted often; beyond it what takes long is fitted a few times."""

Scale = Literal["linear", "log", "logit"]

_SCALES: Mapping[Scale, tuple[Callable[[float], float], Callable[[float], float]]] = MappingProxyType(
    {
        "linear": (lambda value: value, lambda x: x),
        "log": (log, exp),
        "logit": (lambda value: log(value / (1 - value)), lambda x: 1 / (1 + exp(-x))),
    }
)
"""From a value to what equal steps are made in, and back."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Its number of items, and the name of the text encoder that reads them."""

    items: int
    text_encoder: str

    @property
    def is_small(self) -> bool:
        return self.items <= SMALL_ITEMS


@dataclass(frozen=True, slots=True)
class Axis:
    """The `values` of a setting, two or more, ascending. The search goes on beyond them by steps as large on the `scale` as the
    last one, within `low` and `high`; without a scale there are no other values."""

    setting: str
    values: tuple[Any, ...]
    scale: Scale | None = None
    low: float = -inf
    high: float = inf

    def neighbours(self, value: Any) -> Iterator[Any]:
        """The next smaller and the next larger value, where there is one."""
        smaller = [other for other in self.values if other < value]
        larger = [other for other in self.values if other > value]
        yield from smaller[-1:] or self._beyond(value, self.values[1], self.values[0])
        yield from larger[:1] or self._beyond(value, self.values[-2], self.values[-1])

    def ends_at(self, value: Any) -> bool:
        """Whether the search must not go on from `value`; a limit among the first values is no edge: nothing lies beyond it."""
        return value in (self.low, self.high) and value not in self.values

    def _beyond(self, value: Any, inner: Any, outer: Any) -> Iterator[Any]:
        """What follows `value`, by the step from `inner` to `outer`."""
        if self.scale is None or value in (self.low, self.high):
            return
        to, back = _SCALES[self.scale]
        following = min(max(back(to(value) + to(outer) - to(inner)), self.low), self.high)
        yield round(following) if isinstance(value, int) else float(f"{following:.4g}")


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """The search begins at `start` and goes along the `axes`; a source is fitted with `max_fits` settings at most."""

    start: Any
    axes: tuple[Axis, ...] = ()
    max_fits: int = 12


DECAY = Axis("decay", (0.4, 0.6, 0.7, 0.8, 0.9, 0.95), "logit", low=0.01, high=0.999)
"""How much less an event counts than the one after it."""
