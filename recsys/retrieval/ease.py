"""EASE: the linear autoencoder with a closed form.

Source: Steck, Embarrassingly Shallow Autoencoders (arXiv:1905.03375): P = (X'X + lambda I)^-1, B_ij = -P_ij / P_jj, diagonal 0.
It departs in scoring a recency-weighted history, and in keeping the largest weights of each row.
"""

from dataclasses import asdict, dataclass
from math import inf

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from recsys.data.dataset import Dataset
from recsys.data.history import Rows
from recsys.errors import TrainingError, check_ranges
from recsys.retrieval.item_item import ItemItemSource, keep_largest
from recsys.retrieval.neighbours import interactions
from recsys.retrieval.search_space import DECAY, Axis, Catalogue, SearchSpace

MAX_ITEMS = 20_000
ROWS_PER_BLOCK = 1024
"""Rows multiplied at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EaseConfig:
    """`ridge` is the paper's lambda; `keep` weights a row."""

    ridge: float = 300.0
    keep: int = 200
    decay: float = 0.9
    window: int = 100
    against: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(self, ridge=(0, inf), keep=(1, inf), window=(1, inf), decay=(0, 1), against=(0, 100))


def search_space(catalogue: Catalogue) -> SearchSpace:
    """The settings that are tried; beyond a few thousand items few inverses are computed."""
    ridge = Axis("ridge", (12.5, 50.0, 200.0, 800.0), "log", low=0.1, high=1e5)
    return SearchSpace(EaseConfig(ridge=50.0), (ridge, DECAY), max_fits=8 if catalogue.is_small else 4)


def fit_ease(dataset: Dataset, config: EaseConfig, *, kind: str = "ease") -> ItemItemSource:
    """The weights between items with events; the share of weight lost by keeping few a row stands in the figures.

    Raises:
        TrainingError: more than 20,000 items have events, where the inverse takes too long.
    """
    rows = np.flatnonzero(dataset.has_events)
    if len(rows) > MAX_ITEMS:
        raise TrainingError(
            f"{len(rows)} items with events: EASE inverts a matrix of this size; it is offered up to {MAX_ITEMS}"
        )
    gram = _gram(interactions(dataset)[:, rows])
    gram[np.diag_indices_from(gram)] += config.ridge
    weights = _inverse(gram)
    if weights is None:
        raise TrainingError(f"EASE: the matrix is not positive definite at ridge={config.ridge}; raise it")
    weights /= -np.diag(weights).copy()
    np.fill_diagonal(weights, 0)
    matrix, lost = keep_largest(weights, keep=config.keep)
    return ItemItemSource(
        _over_catalogue(matrix, rows, items=dataset.items),
        kind=kind,
        known=dataset.has_events,
        decay=config.decay,
        window=config.window,
        against=config.against,
        config={"ease": asdict(config)},
        figures={"weight_lost": lost},
    )


def _gram(seen: sp.csr_matrix) -> NDArray[np.float32]:
    """X'X, block by block: sparse, the whole would take as much memory again."""
    owners, items = sp.csr_matrix(seen.T), seen.shape[1]
    gram = np.empty((items, items), dtype=np.float32)
    for start in range(0, items, ROWS_PER_BLOCK):
        span = slice(start, start + ROWS_PER_BLOCK)
        gram[span] = (owners[span] @ seen).toarray()
    return gram


def _inverse(gram: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """The inverse of a symmetric matrix, written over it; None where it is not positive definite.

    By torch, which computes beside other threads: SciPy's LAPACK lets none of them run meanwhile, also not one that reports.
    """
    columns = torch.from_numpy(gram).T  # in the order that LAPACK overwrites
    failed = torch.empty((), dtype=torch.int32)
    torch.linalg.cholesky_ex(columns, out=(columns, failed))
    if failed:
        return None
    inverse: NDArray[np.float32] = torch.cholesky_inverse(columns, out=columns).T.numpy()
    return inverse


def _over_catalogue(matrix: sp.csr_matrix, rows: Rows, *, items: int) -> sp.csr_matrix:
    """(items, items) with the entries of `matrix` between the catalogue rows `rows`, and no others."""
    lengths = np.zeros(items, dtype=np.int64)
    lengths[rows] = np.diff(matrix.indptr)
    starts = np.append(0, lengths.cumsum())
    return sp.csr_matrix((matrix.data, rows[matrix.indices], starts), shape=(items, items))
