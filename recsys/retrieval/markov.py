"""Windowed successors: what followed an item, near ones counting more.

Source: sequential rules as in Ludewig and Jannach (arXiv:1803.09587), section 3.1: a pair `gap` steps apart weighs 1 / gap.
"""

from dataclasses import asdict, dataclass
from math import inf

import numpy as np
import scipy.sparse as sp

from recsys.data.dataset import Dataset
from recsys.errors import check_ranges
from recsys.retrieval.item_item import ItemItemSource
from recsys.retrieval.search_space import DECAY, Axis, Catalogue, SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkovConfig:
    """`reach` is the largest gap counted in training; `shrink` damps pairs seen a few times;
    `popularity` divides by the successor's count to this power; with `both`, what came before an item counts as well."""

    reach: int = 5
    shrink: float = 2.0
    popularity: float = 0.0
    decay: float = 0.6
    window: int = 10
    both: bool = False
    against: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(
            self, reach=(1, inf), shrink=(0, inf), window=(1, inf), decay=(0, 1), against=(0, 100), popularity=(0, inf)
        )


def search_space(_: Catalogue) -> SearchSpace:
    """The settings that are tried."""
    reach = Axis("reach", (1, 3, 5, 10), "log", low=1, high=80)
    popularity = Axis("popularity", (0.0, 0.15, 0.3), "linear", low=0.0, high=1.0)
    return SearchSpace(MarkovConfig(), (reach, popularity, DECAY))


def fit_markov(
    dataset: Dataset, config: MarkovConfig, *, kind: str = "markov", repeats: bool = False
) -> ItemItemSource:
    """P(next | item) from all pairs at most `reach` apart, by the weight of the later event; pairs of an item with itself count
    where `repeats` may be answers."""
    owner = dataset.owners
    size = dataset.items
    pairs = sp.csr_matrix((size, size), dtype=np.float32)
    for gap in range(1, config.reach + 1):
        same = owner[gap:] == owner[:-gap]
        same[same] &= repeats | (dataset.rows[:-gap][same] != dataset.rows[gap:][same])
        before, after = dataset.rows[:-gap][same], dataset.rows[gap:][same]
        weights = (dataset.values[gap:][same] / gap).astype(np.float32)
        pairs = pairs + sp.csr_matrix((weights, (before, after)), shape=(size, size))
    if config.both:
        pairs = sp.csr_matrix(pairs + pairs.T)
    counts = dataset.counts()
    out = sp.diags_array((1 / (np.asarray(pairs.sum(axis=1)).ravel() + config.shrink)).astype(np.float32))
    into = sp.diags_array((np.maximum(counts, 1) ** -config.popularity).astype(np.float32))
    matrix = sp.csr_matrix(out @ pairs @ into)
    return ItemItemSource(
        matrix,
        kind=kind,
        known=counts > 0,
        decay=config.decay,
        window=config.window,
        against=config.against,
        config={"markov": asdict(config)},
    )
