"""Matrix factorisation through `implicit`, with the history folded in, so that a new user needs no training.

Sources: implicit ALS, Hu, Koren and Volinsky (ICDM 2008); BPR, Rendle et al. (arXiv:1205.2618).
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, Self

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recsys.bundle import Part
from recsys.data.dataset import Dataset
from recsys.data.history import History, Rows
from recsys.errors import InvalidRequest, check_ranges
from recsys.indexes.build import IndexConfig, build
from recsys.indexes.index import Index
from recsys.retrieval.dense import DenseSource, index_arrays, stored_index
from recsys.retrieval.neighbours import interactions
from recsys.retrieval.search_space import DECAY, Axis, Catalogue, SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class AlsConfig:
    """`alpha` is the confidence of an event, `ridge` the regularisation; both also serve to fold a history in, where the
    confidence of an event falls by `decay` with each one after it."""

    factors: int = 64
    ridge: float = 0.1
    alpha: float = 5.0
    iterations: int = 15
    decay: float = 0.8

    def __post_init__(self) -> None:
        check_ranges(self, factors=(1, inf), alpha=(0, 1e6), iterations=(1, inf), decay=(0, 1))
        if not self.ridge > 0:
            raise InvalidRequest(
                f"ridge={self.ridge}: without regularisation a history has no one vector; set it above 0"
            )
        check_ranges(self, ridge=(1e-9, 1e9))


@dataclass(frozen=True, slots=True, kw_only=True)
class BprConfig:
    """`scale` is how much the history counts beside the items' biases; an event weighs `decay` per one after it."""

    factors: int = 64
    ridge: float = 0.01
    learning_rate: float = 0.05
    iterations: int = 100
    decay: float = 0.8
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_ranges(self, factors=(1, inf), ridge=(0, inf), learning_rate=(0, inf), iterations=(1, inf), decay=(0, 1))
        check_ranges(self, scale=(0, 1e6))


class FactorsSource(DenseSource):
    """Learned item vectors; how a history becomes a vector among them is up to the kind."""

    def __init__(
        self,
        vectors: NDArray[np.float32],
        *,
        kind: str,
        known: NDArray[np.bool_],
        config: dict[str, Any],
        index: Index | None = None,
    ) -> None:
        super().__init__(vectors, known=known, index=index)
        self.kind, self.config = kind, config

    def with_query_time(self, **settings: float) -> Self:
        other = self._forgetful()
        other.config = self.config | settings
        return other

    @property
    def trained(self) -> NDArray[np.bool_]:
        return self.known

    def encode(self, histories: Sequence[History]) -> NDArray[np.float32]:
        return np.stack([self.fold_in(*_weighted(history, self.config["decay"])) for history in histories])

    @abstractmethod
    def fold_in(self, rows: Rows, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vector (dim,) of someone who had the distinct `rows`, each with the sum of its events' weights."""

    def part(self, name: str) -> Part:
        arrays = {"item_vectors": self.vectors, "known": self.known} | index_arrays(self.index)
        return Part(name=name, kind=self.kind, config=self.config, arrays=arrays)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a = part.arrays
        return cls(a["item_vectors"], kind=part.kind, known=a["known"], config=part.config, index=stored_index(part))


class AlsSource(FactorsSource):
    """A history's vector is the user of the ALS equations given its items, the older with less confidence."""

    def __init__(
        self,
        vectors: NDArray[np.float32],
        *,
        kind: str = "als",
        known: NDArray[np.bool_],
        config: dict[str, Any],
        index: Index | None = None,
    ) -> None:
        super().__init__(vectors, kind=kind, known=known, config=config, index=index)
        self._gram = vectors.T @ vectors + config["ridge"] * np.eye(vectors.shape[1], dtype=np.float32)

    def fold_in(self, rows: Rows, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Solves (Y'Y + ridge I + Y_u' (C - 1) Y_u) p = Y_u' C 1 with the confidences C = alpha `weights`.

        As in `implicit`, and not 1 + alpha `weights` as in the paper: so an item of long ago is no evidence at all,
        neither for nor against. With decay=1 it is the user that `implicit` would have learned.
        """
        y, confidence = self.vectors[rows], self.config["alpha"] * weights
        return np.linalg.solve(self._gram + (y.T * (confidence - 1)) @ y, y.T @ confidence)


class BprSource(FactorsSource):
    """A history's vector is the weighted mean of its items' factors, with a 1 for the bias, which is their last column.

    BPR learns a user by sampling what the user did not take; the mean of the items needs no sampling and, on validation,
    found more than the least squares of ALS, which would fit the bias as if it were a taste.
    """

    def fold_in(self, rows: Rows, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        mean = weights @ self.vectors[rows, :-1] / weights.sum()
        return np.append(self.config["scale"] * mean, 1).astype(np.float32)


def als_search_space(catalogue: Catalogue) -> SearchSpace:
    """The settings that are tried; a large catalogue is fitted a few times."""
    alpha = Axis("alpha", (2.0, 10.0), "log", low=0.01, high=1000.0)
    factors = Axis("factors", (32, 64, 128), "log", low=8, high=256)
    if catalogue.is_small:
        return SearchSpace(AlsConfig(alpha=2.0), (alpha, factors, DECAY), max_fits=8)
    return SearchSpace(AlsConfig(factors=128, alpha=10.0), (alpha, DECAY), max_fits=3)


def bpr_search_space(catalogue: Catalogue) -> SearchSpace:
    """The settings that are tried: one fit."""
    scale = Axis("scale", (0.5, 1.0, 2.0, 5.0), "log", low=0.01, high=1000.0)
    return SearchSpace(BprConfig(iterations=100 if catalogue.is_small else 30), (scale, DECAY))


def fit_als(
    dataset: Dataset, config: AlsConfig, *, seed: int, index: IndexConfig | None = None, kind: str = "als"
) -> AlsSource:
    """Item factors of ALS, searched by an index of the kind `index`, else the one that suits; one BLAS thread, which is
    what `implicit` asks for."""
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=config.factors,
            regularization=config.ridge,
            alpha=config.alpha,
            iterations=config.iterations,
            random_state=seed,
            num_threads=1,
            use_gpu=False,
        )
        model.fit(interactions(dataset), show_progress=False)
    vectors, known = _vectors(model), dataset.counts() > 0
    built = None if index is None else build(index, vectors, known=known)
    return AlsSource(vectors, kind=kind, known=known, config=asdict(config), index=built)


def fit_bpr(dataset: Dataset, config: BprConfig, *, seed: int) -> BprSource:
    """Item factors of BPR, the bias of each item in the last column; one thread, so that a seed gives the same bits."""
    with threadpool_limits(1, "blas"):
        model = BayesianPersonalizedRanking(
            factors=config.factors,
            regularization=config.ridge,
            learning_rate=config.learning_rate,
            iterations=config.iterations,
            random_state=seed,
            num_threads=1,
            use_gpu=False,
        )
        model.fit(interactions(dataset), show_progress=False)
    return BprSource(_vectors(model), kind="bpr", known=dataset.counts() > 0, config=asdict(config))


def _vectors(model: Any) -> NDArray[np.float32]:
    return np.ascontiguousarray(model.item_factors, dtype=np.float32)


def _weighted(history: History, decay: float) -> tuple[Rows, NDArray[np.float32]]:
    """The distinct rows and the sum of weight * `decay ** age` over the events of each."""
    distinct, inverse = np.unique(history.rows, return_inverse=True)
    weights = np.bincount(inverse, weights=history.weights * decay ** np.arange(len(history))[::-1])
    return distinct, weights.astype(np.float32)
