"""Coordinate search: from one setting to a better neighbour along each axis, until no neighbour is better.

There is no grid that it could end at the edge of: beyond its first values an axis goes on while that helps, within the limits of
the setting. There a step helps where its gain, paired by case, is above its standard error: less is chance, and many small steps
would learn the cases by heart. What is weighted at query time is searched inside each fit, for that costs no other.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recsys.metrics.ranking import PerCase
from recsys.retrieval.search_space import Axis, SearchSpace
from recsys.training.plan import Progress

MAX_SETTINGS = 80
"""Settings compared in one search, at most."""

Figure = Callable[[Any], Generator[Progress, None, PerCase]]
"""Yields progress; returns how good settings are on each case."""
Reached = Callable[[Any], Generator[Progress, None, Any]]
"""Compares settings, and returns the best that were reached from them."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The settings that the search came to, their mean `figure`, and how many were `compared`. `edges` says of which it could not
    go on."""

    config: Any
    figure: float
    compared: int
    fits: int
    edges: tuple[str, ...]

    def __str__(self) -> str:
        edges = f", at the edge of what is tried: {', '.join(self.edges)}" if self.edges else ""
        return f"with {self.config}, of {self.compared} settings in {self.fits} fits{edges}"


class Climb:
    """One search of `space` for the settings with the largest mean `figure`. Those named in `query_time` share a fit."""

    def __init__(self, space: SearchSpace, figure: Figure, *, query_time: Mapping[str, float]) -> None:
        self._space, self._figure, self._query_time = space, figure, query_time
        self._inner = tuple(axis for axis in space.axes if axis.setting in query_time)
        self._outer = tuple(axis for axis in space.axes if axis.setting not in query_time)
        self.figures = dict[Any, float]()
        self._by_case = dict[Any, PerCase]()
        self._best_of_fit = dict[Any, Any]()

    def run(self) -> Generator[Progress, None, Chosen]:
        """Yields progress; returns the best settings, the first of equal ones."""
        first = yield from self._swept(self._inner, self._space.start, self._compared)
        best = yield from self._swept(self._outer, (yield from self._fitted(first)), self._fitted)
        best = yield from self._climb(self._outer, best, self._fitted)
        edges = tuple(
            f"{axis.setting}={getattr(best, axis.setting)}" for axis in self._space.axes if self._ends(axis, best)
        )
        return Chosen(best, self.figures[best], len(self.figures), len(self._best_of_fit), edges)

    @property
    def best(self) -> Any:
        return max(self.figures, key=lambda config: self.figures[config])

    def _swept(self, axes: tuple[Axis, ...], best: Any, reached: Reached) -> Generator[Progress, None, Any]:
        """The best of the first values of each axis in turn, which need not have one peak alone."""
        best = yield from reached(best)
        for axis in axes:
            for value in axis.values:
                candidate = yield from reached(replace(best, **{axis.setting: value}))
                best = max(best, candidate, key=lambda config: self.figures[config])
        return best

    def _climb(self, axes: tuple[Axis, ...], best: Any, reached: Reached) -> Generator[Progress, None, Any]:
        """From `best` to what no neighbour beats; `reached` compares a neighbour, and returns what it leads to."""
        moved = True
        while moved:
            moved = False
            for axis in axes:
                for value in axis.neighbours(getattr(best, axis.setting)):
                    candidate = yield from reached(replace(best, **{axis.setting: value}))
                    if self._is_better(candidate, best, surely=value not in axis.values):
                        best, moved = candidate, True
                        break
        return best

    def _fitted(self, config: Any) -> Generator[Progress, None, Any]:
        """The best settings of query time for the fit of `config`; the best of all once the fits are used up."""
        fit = self._fit(config)
        if fit not in self._best_of_fit:
            if len(self._best_of_fit) >= self._space.max_fits or len(self.figures) >= MAX_SETTINGS:
                return self.best
            start = yield from self._compared(config)
            self._best_of_fit[fit] = start  # before the search goes on: the fit is used
            self._best_of_fit[fit] = yield from self._climb(self._inner, start, self._compared)
        return self._best_of_fit[fit]

    def _compared(self, config: Any) -> Generator[Progress, None, Any]:
        if config not in self.figures:
            if len(self.figures) >= MAX_SETTINGS:
                return self.best
            self._by_case[config] = yield from self._figure(config)
            self.figures[config] = float(self._by_case[config].mean())
        return config

    def _is_better(self, config: Any, reference: Any, *, surely: bool) -> bool:
        gain = self._by_case[config] - self._by_case[reference]
        return bool(gain.mean() > (gain.std() / np.sqrt(len(gain)) if surely else 0))

    def _fit(self, config: Any) -> Any:
        return replace(config, **self._query_time)

    def _ends(self, axis: Axis, best: Any) -> bool:
        """Whether a value beside that of `best` was left untried: by the limits of the axis, or of the search."""
        others = (replace(best, **{axis.setting: value}) for value in axis.neighbours(getattr(best, axis.setting)))
        untried = (
            other not in self.figures if axis in self._inner else self._fit(other) not in self._best_of_fit
            for other in others
        )
        return axis.ends_at(getattr(best, axis.setting)) or any(untried)
