"""Fits a source with the settings that do best on validation."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.data.dataset import Dataset
from recsys.data.splits import EvalCases
from recsys.metrics.ranking import PerCase, dense_ranks, ndcg
from recsys.pace import Pace
from recsys.ranking.filters import over_catalogue
from recsys.retrieval.search_space import Axis, SearchSpace
from recsys.retrieval.source import Source, StoredSource
from recsys.training.climbing import Chosen, Climb
from recsys.training.overrides import overridden
from recsys.training.plan import Progress

MAX_CASES = 2000
"""Validation cases that settings are chosen on."""
AGAINST = Axis("against", (0.0, 0.1, 0.3, 1.0), "log", low=0.0, high=10.0)
"""How much a rejected item counts."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FitInputs:
    """What a source is fitted on: histories, the text vectors (items, text_dim) of the catalogue, whether items of the history
    may be answers, and a seed."""

    dataset: Dataset
    text: NDArray[np.float32]
    seed: int
    include_seen: bool = False


Fit = Callable[[FitInputs, Any], StoredSource]
"""Fits a source with the settings of its type."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tuning:
    """How settings are compared. Those named in `query_time` (with the value that leaves a history as it is) weight a history
    after the fit, so that settings which differ in these alone share one fit."""

    fit: Fit
    query_time: Mapping[str, float] = field(default_factory=dict)

    def sources(self, inputs: FitInputs) -> Callable[[Any], StoredSource]:
        """Gives the source of a config; the last fit is used again where it can be."""
        fitted = dict[Any, StoredSource]()

        def source(config: Any) -> StoredSource:
            core = replace(config, **self.query_time)
            if core not in fitted:
                fitted.clear()
                fitted[core] = self.fit(inputs, core)
            return fitted[core].with_query_time(**{name: getattr(config, name) for name in self.query_time})

        return source


def choose_settings(
    tuning: Tuning,
    space: SearchSpace,
    inputs: FitInputs,
    *,
    name: str,
    validation: EvalCases,
    include_seen: bool,
    overrides: Mapping[str, Any] = MappingProxyType({}),
) -> Generator[Progress, None, Chosen]:
    """Yields progress; returns the settings of best validation NDCG@10. `overrides` are fixed, the rest is chosen.

    Sources score the whole catalogue: none builds an index to be compared. How much a rejected item counts is searched, too,
    where users rejected any.

    Raises:
        InvalidRequest: an override that the source does not know.
    """
    cases, source, pace = validation.sample(MAX_CASES, seed=inputs.seed), tuning.sources(inputs), Pace()
    is_rejecting = "against" in tuning.query_time and any(len(history.rejected) for history in cases.histories)
    axes = (*space.axes, *([AGAINST] if is_rejecting else []))
    space = replace(
        space,
        start=overridden(space.start, overrides, where=name),
        axes=tuple(axis for axis in axes if axis.setting not in overrides),
    )

    def figure(config: Any) -> Generator[Progress, None, PerCase]:
        ranked = ndcg_at_10(source(config), cases, items=inputs.dataset.items, include_seen=include_seen)
        if pace.is_due():
            yield Progress(name, f"{len(climb.figures) + 1} settings compared, validation NDCG@10 {ranked.mean():.4f}")
        return ranked

    climb = Climb(space, figure, query_time=tuning.query_time)
    return (yield from climb.run())


def ndcg_at_10(source: Source, cases: EvalCases, *, items: int, include_seen: bool) -> NDArray[np.float64]:
    """NDCG@10 of each case over the whole catalogue."""
    out = [np.empty(0)]
    for block in cases.blocks(items=items):
        queries = over_catalogue(block, items=items, include_seen=include_seen)
        every = np.broadcast_to(np.arange(items), (len(queries), items))
        allowed = np.stack([query.allowed for query in queries])
        out.append(ndcg(dense_ranks(source.score(queries, every), block.targets, allowed)))
    return np.concatenate(out)
