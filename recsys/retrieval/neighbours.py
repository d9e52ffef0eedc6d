"""Item neighbours: cosine of co-occurrence, shrunk towards zero where it was seen a few times."""

from dataclasses import asdict, dataclass
from math import inf

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.data.dataset import Dataset
from recsys.errors import check_ranges
from recsys.retrieval.item_item import ItemItemSource
from recsys.retrieval.search_space import DECAY, Axis, Catalogue, SearchSpace

ITEMS_PER_BLOCK = 4096
"""Items whose neighbours are found at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighboursConfig:
    """`keep` neighbours an item; `shrink` is added to the denominator of the cosine."""

    keep: int = 200
    shrink: float = 10.0
    decay: float = 0.9
    window: int = 100
    against: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(self, keep=(1, inf), shrink=(0, inf), window=(1, inf), decay=(0, 1), against=(0, 100))


def interactions(dataset: Dataset) -> sp.csr_matrix:
    """(users, items) float32: the largest weight of a user's events on an item, 1 where all weigh the same."""
    width = dataset.items
    pairs, pair = np.unique(dataset.owners * width + dataset.rows, return_inverse=True)
    largest = np.zeros(len(pairs), dtype=np.float32)
    np.maximum.at(largest, pair, dataset.values)
    return sp.csr_matrix((largest, (pairs // width, pairs % width)), shape=(len(dataset), width))


def search_space(_: Catalogue) -> SearchSpace:
    """The settings that are tried."""
    shrink = Axis("shrink", (1.0, 3.0, 10.0), "log", low=0.1, high=1e4)
    return SearchSpace(NeighboursConfig(decay=0.8), (shrink, DECAY))


def fit_neighbours(dataset: Dataset, config: NeighboursConfig, *, kind: str = "item-neighbours") -> ItemItemSource:
    """s_ij = c_ij / (sqrt(n_i n_j) + shrink) with c = X'X of the weights and n its diagonal.

    The largest `keep` a row stay; of equal ones those of the first items.
    """
    seen = interactions(dataset)
    counts = np.asarray(seen.power(2).sum(axis=0)).ravel()
    owners = sp.csr_matrix(seen.T)
    blocks = [
        _largest(owners, seen, counts, slice(start, start + ITEMS_PER_BLOCK), config)
        for start in range(0, len(counts), ITEMS_PER_BLOCK)
    ]
    return ItemItemSource(
        sp.csr_matrix(sp.vstack(blocks)),
        kind=kind,
        known=counts > 0,
        decay=config.decay,
        window=config.window,
        against=config.against,
        config={"neighbours": asdict(config)},
    )


def _largest(
    owners: sp.csr_matrix, seen: sp.csr_matrix, counts: NDArray[np.float32], span: slice, config: NeighboursConfig
) -> sp.csr_matrix:
    """The rows `span` of the similarities: long lists make too many pairs to hold all at once."""
    common = sp.coo_matrix(owners[span] @ seen)
    apart = common.row + span.start != common.col
    row, column, value = common.row[apart], common.col[apart], common.data[apart]
    similarity = value / (np.sqrt(counts[row + span.start] * counts[column]) + config.shrink)
    order = np.lexsort((column, -similarity, row))  # of equal ones the first items, however the pairs were found
    row, column, similarity = row[order], column[order], similarity[order]
    first = np.searchsorted(row, np.arange(common.shape[0]))
    largest = np.arange(len(row)) - first[row] < config.keep
    row, column, similarity = row[largest], column[largest], similarity[largest].astype(np.float32)
    return sp.csr_matrix((similarity, (row, column)), shape=common.shape)
