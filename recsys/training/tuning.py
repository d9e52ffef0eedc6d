"""Fits a simple source with the settings that do best on validation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.data.dataset import Dataset
from recsys.data.splits import EvalCases
from recsys.metrics.ranking import dense_ranks, ndcg
from recsys.ranking.filters import over_catalogue
from recsys.retrieval.ease import EaseConfig
from recsys.retrieval.factors import AlsConfig, BprConfig, FactorsSource
from recsys.retrieval.item_item import ItemItemSource
from recsys.retrieval.markov import MarkovConfig
from recsys.retrieval.neighbours import NeighboursConfig
from recsys.retrieval.popular import PopularConfig
from recsys.retrieval.registry import SourceConfig, fit
from recsys.retrieval.source import Source
from recsys.retrieval.text import TextConfig
from recsys.training.overrides import overridden

CASES = 2000
"""Validation cases that settings are chosen on."""

SMALL = 5000
"""Catalogues up to this size get the whole grid; beyond it EASE's inverse and ALS are fitted once."""

SIMPLE = ("popular", "recent", "markov", "item-neighbours", "ease", "als", "bpr", "text")


def grid(name: str, *, items: int, text_encoder: str) -> Sequence[SourceConfig]:
    """The settings that are tried for the source `name`."""
    small = items <= SMALL
    match name:
        case "popular":
            return [PopularConfig()]
        case "recent":
            return [PopularConfig(share=share) for share in (0.05, 0.1, 0.2)]
        case "markov":
            reach = [(1, 0.0), (3, 0.0), (5, 0.0), (10, 0.0), (5, 0.3), (10, 0.3)]
            return [MarkovConfig(reach=r, popularity=p, decay=d) for r, p in reach for d in (0.4, 0.6, 0.8, 0.9)]
        case "item-neighbours":
            return [NeighboursConfig(shrink=s, decay=d) for s in (1.0, 10.0) for d in (0.7, 0.8, 0.9, 0.97)]
        case "ease":
            ridges = (100.0, 300.0, 1000.0) if small else (200.0,)
            return [EaseConfig(ridge=r, decay=d) for r in ridges for d in (0.6, 0.7, 0.8, 0.9, 0.95)]
        case "als":
            fits = [(32, 2.0), (64, 2.0), (64, 10.0), (128, 10.0)] if small else [(128, 10.0)]
            return [AlsConfig(factors=f, alpha=a, decay=d) for f, a in fits for d in (0.6, 0.8, 0.9, 0.97)]
        case "bpr":
            iterations = 100 if small else 30
            return [
                BprConfig(iterations=iterations, scale=s, decay=d)
                for s in (0.5, 1.0, 2.0, 5.0)
                for d in (0.6, 0.7, 0.8, 0.9)
            ]
        case "text":
            return [
                TextConfig(text_encoder=text_encoder, shrink=s, decay=d) for s in (0.1, 1.0) for d in (0.5, 0.7, 0.9)
            ]
        case _:
            raise KeyError(name)


def choose_source(
    name: str,
    *,
    dataset: Dataset,
    validation: EvalCases,
    text: NDArray[np.float32],
    text_encoder: str,
    include_seen: bool,
    seed: int,
    overrides: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[SourceConfig, float]:
    """The best settings and their validation NDCG@10; `overrides` are fixed, the rest is chosen.

    Raises:
        InvalidRequest: an override that the source does not know.
    """
    tried_all = grid(name, items=dataset.items, text_encoder=text_encoder)
    configs = list(dict.fromkeys(overridden(config, overrides, where=name) for config in tried_all))
    some = validation.sample(CASES, seed=seed)
    tried = {
        config: ndcg_at_10(source, some, items=dataset.items, include_seen=include_seen).mean()
        for config, source in _fitted(configs, dataset, text, seed)
    }
    best = max(tried, key=lambda config: tried[config])
    return best, float(tried[best])


def ndcg_at_10(source: Source, cases: EvalCases, *, items: int, include_seen: bool) -> NDArray[np.float64]:
    """NDCG@10 of each case over the whole catalogue."""
    out = []
    for start in range(0, len(cases), 256):
        span = slice(start, start + 256)
        queries = over_catalogue(cases.histories[span], items=items, include_seen=include_seen)
        every = np.broadcast_to(np.arange(items), (len(queries), items))
        allowed = np.stack([query.allowed for query in queries])
        out.append(ndcg(dense_ranks(source.score(queries, every), cases.targets[span], allowed)))
    return np.concatenate(out)


def _fitted(
    configs: Sequence[SourceConfig], dataset: Dataset, text: NDArray[np.float32], seed: int
) -> Iterator[tuple[SourceConfig, Source]]:
    """Sources of all settings; those that differ in how a history is weighed alone share one fit."""
    held: SourceConfig | None = None
    for config in configs:
        core, weighing = _taken_apart(config)
        if core != held:
            held, source = core, fit(core, dataset, text=text, seed=seed)
        if weighing:
            assert isinstance(source, ItemItemSource | FactorsSource)
            yield config, source.reweighed(**weighing)
        else:
            yield config, source


def _taken_apart(config: SourceConfig) -> tuple[SourceConfig, dict[str, float]]:
    """(what has to be fitted, how a history is weighed afterwards)."""
    match config:
        case MarkovConfig() | NeighboursConfig() | EaseConfig() | AlsConfig():
            return replace(config, decay=1.0), {"decay": config.decay}
        case BprConfig():
            return replace(config, decay=1.0, scale=1.0), {"decay": config.decay, "scale": config.scale}
        case _:
            return config, {}
