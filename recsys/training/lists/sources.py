"""How the parts that are fitted on lists alone are fitted: sources that continue lists, and encoders by means."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsys.data.continuation_cases import continuation_cases
from recsys.data.playlists import Playlists
from recsys.indexes.exact import ExactConfig
from recsys.metrics.continuation import figures
from recsys.retrieval.factors import AlsConfig, AlsSource, fit_als
from recsys.retrieval.item_item import ItemItemSource
from recsys.retrieval.lists.mean import MEAN, WEIGHTED, MeanConfig, MeanEncoder, fit_mean
from recsys.retrieval.lists.neighbours import ListNeighbours, ListNeighboursConfig, fit_list_neighbours
from recsys.retrieval.markov import MarkovConfig, fit_markov
from recsys.retrieval.neighbours import NeighboursConfig, fit_neighbours
from recsys.training.lists.fusion import list_queries
from recsys.training.svd_init import svd_embeddings

DIM = 128
"""Of the item vectors that means are taken of."""
WHOLE_LIST = 1_000_000
"""Window of the sources to which every item of a list counts alike."""
GRID = tuple(
    ListNeighboursConfig(lists=lists, power=power, rarity=rarity)
    for lists in (100, 500, 2000)
    for power in (1.0, 2.0, 3.0)
    for rarity in (0.0, 0.5, 1.0)
)
"""Settings of neighbour lists that are compared on validation."""
GRID_CASES = 150
"""Validation cases of 5 seeds, and of 25, that they are compared on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ListInputs:
    """`lists` to fit on; settings are chosen on `validation`, None for a refit.

    `text_encoder` names the encoder of the lists' names; empty for none.
    """

    lists: Playlists
    seed: int
    text_encoder: str = ""
    validation: Playlists | None = None

    @cached_property
    def item_vectors(self) -> NDArray[np.float32]:
        """(items, dim): what the encoders by means take the mean of."""
        return svd_embeddings(self.lists.data, dim=DIM, seed=self.seed)


def fit_list_markov(inputs: ListInputs) -> ItemItemSource:
    """The one source in which an early item of a list counts less than a late one."""
    return fit_markov(inputs.lists.data, MarkovConfig(reach=5, decay=0.8, window=10), kind="list-markov")


def fit_list_beside(inputs: ListInputs) -> ItemItemSource:
    """What stands near an item on either side."""
    config = MarkovConfig(reach=10, decay=1.0, window=WHOLE_LIST, both=True)
    return fit_markov(inputs.lists.data, config, kind="list-beside")


def fit_list_item_neighbours(inputs: ListInputs) -> ItemItemSource:
    config = NeighboursConfig(decay=1.0, window=WHOLE_LIST)
    return fit_neighbours(inputs.lists.data, config, kind="list-item-neighbours")


def fit_list_als(inputs: ListInputs) -> AlsSource:
    config = AlsConfig(factors=128, alpha=10.0, decay=1.0)
    return fit_als(inputs.lists.data, config, seed=inputs.seed, index=ExactConfig(), kind="list-als")


def fit_list_mean(inputs: ListInputs) -> MeanEncoder:
    return _fit_mean(inputs, MEAN, name="mean")


def fit_list_weighted(inputs: ListInputs) -> MeanEncoder:
    return _fit_mean(inputs, WEIGHTED, name="weighted")


def _fit_mean(inputs: ListInputs, config: MeanConfig, *, name: str) -> MeanEncoder:
    return fit_mean(inputs.lists.data, inputs.item_vectors, config, name=name)


def choose_neighbours(fit: Playlists, validation: Playlists, *, seed: int) -> ListNeighboursConfig:
    """The settings of best mean R-precision on validation; the first ones without a case."""
    by_size = [continuation_cases(validation, seeds=size, order="sensitive", seed=seed) for size in (5, 25)]
    best, best_mean = ListNeighboursConfig(), -1.0
    base = fit_list_neighbours(fit.data, ListNeighboursConfig(rarity=1.0))
    for config in GRID:
        weights = np.where(base.known, np.maximum(base.weights, 1e-9) ** config.rarity, 0).astype(np.float32)
        source = ListNeighbours(base.members, weights=weights, config=config)
        r_precisions = list[float]()
        for cases in by_size:
            if not len(cases):
                continue
            queries = list_queries(cases, items=fit.data.items)[:GRID_CASES]
            rows = source.search(queries, k=250).rows
            r_precisions += list(figures(rows, cases.targets[:GRID_CASES]).r_precision)
        if r_precisions and np.mean(r_precisions) > best_mean:
            best, best_mean = config, float(np.mean(r_precisions))
    return best
