"""Fits a source with the settings that do best on validation."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.data.dataset import Dataset
from recsys.data.splits import EvalCases
from recsys.metrics.ranking import dense_ranks, ndcg
from recsys.pace import Pace
from recsys.ranking.filters import over_catalogue
from recsys.retrieval.source import Source, StoredSource
from recsys.training.overrides import overridden
from recsys.training.plan import Progress

MAX_CASES = 2000
"""Validation cases that settings are chosen on."""
AGAINST = (0.1, 0.3, 1.0)
"""How much a rejected item counts, tried on the best of the other settings where users rejected any."""


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

    def sources(self, configs: Sequence[Any], inputs: FitInputs) -> Iterator[tuple[Any, StoredSource]]:
        """A source of each of `configs`."""
        fitted, source = None, None
        for config in configs:
            core = replace(config, **self.query_time)
            if source is None or core != fitted:
                fitted, source = core, self.fit(inputs, core)
            yield config, source.with_query_time(**{name: getattr(config, name) for name in self.query_time})


def choose_settings(
    tuning: Tuning,
    search_space: Sequence[Any],
    inputs: FitInputs,
    *,
    name: str,
    validation: EvalCases,
    include_seen: bool,
    overrides: Mapping[str, Any] = MappingProxyType({}),
) -> Generator[Progress, None, tuple[Any, float]]:
    """Yields progress; returns the best settings and their validation NDCG@10. `overrides` are fixed, the rest is chosen.

    Sources score the whole catalogue: none builds an index to be compared.

    Raises:
        InvalidRequest: an override that the source does not know.
    """
    cases, pace = validation.sample(MAX_CASES, seed=inputs.seed), Pace()
    figures = dict[Any, float]()

    def best(configs: Sequence[Any]) -> Generator[Progress, None, Any]:
        configs = list(dict.fromkeys(overridden(config, overrides, where=name) for config in configs))
        for config, source in tuning.sources([config for config in configs if config not in figures], inputs):
            ranked = ndcg_at_10(source, cases, items=inputs.dataset.items, include_seen=include_seen)
            figures[config] = float(ranked.mean())
            if pace.is_due():
                yield Progress(
                    name, f"{len(figures)} settings compared, validation NDCG@10 {max(figures.values()):.4f}"
                )
        return max(figures, key=lambda config: figures[config])

    chosen = yield from best(search_space)
    if "against" in tuning.query_time and any(len(history.rejected) for history in cases.histories):
        chosen = yield from best([replace(chosen, against=against) for against in AGAINST])
    return chosen, figures[chosen]


def ndcg_at_10(source: Source, cases: EvalCases, *, items: int, include_seen: bool) -> NDArray[np.float64]:
    """NDCG@10 of each case over the whole catalogue."""
    out = [np.empty(0)]
    for block in cases.blocks(items=items):
        queries = over_catalogue(block, items=items, include_seen=include_seen)
        every = np.broadcast_to(np.arange(items), (len(queries), items))
        allowed = np.stack([query.allowed for query in queries])
        out.append(ndcg(dense_ranks(source.score(queries, every), block.targets, allowed)))
    return np.concatenate(out)
