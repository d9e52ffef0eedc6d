"""Matrix factorisation through `implicit`, with the history folded in, so that a new user needs no training.

Sources: implicit ALS, Hu, Koren and Volinsky (ICDM 2008); BPR, Rendle et al. (arXiv:1205.2618).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recsys.bundle import Part
from recsys.data.dataset import Dataset
from recsys.data.history import Rows
from recsys.indexes.index import Index
from recsys.retrieval.inner import InnerProductSource, stored, stored_index
from recsys.retrieval.neighbours import interactions


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorsConfig:
    """`alpha` is the confidence of an event, `ridge` the regularisation; both also serve to fold a history in."""

    loss: Literal["als", "bpr"] = "als"
    factors: int = 64
    ridge: float = 0.1
    alpha: float = 5.0
    iterations: int = 15
    decay: float = 0.95


class FactorsSource(InnerProductSource):
    """A history's vector is the least-squares user of the ALS equations given its items, the older weighing less."""

    def __init__(
        self,
        vectors: NDArray[np.float32],
        *,
        known: NDArray[np.bool_],
        config: dict[str, Any],
        index: Index | None = None,
    ) -> None:
        super().__init__(vectors, known=known, index=index)
        self.config = config
        self._gram = vectors.T @ vectors + config["ridge"] * np.eye(vectors.shape[1], dtype=np.float32)

    def encode(self, histories: Sequence[Rows]) -> NDArray[np.float32]:
        """Solves (Y'Y + ridge I + Y_u' alpha W Y_u) p = Y_u' (1 + alpha W) 1 for each history."""
        out = np.empty((len(histories), self.vectors.shape[1]), dtype=np.float32)
        for i, rows in enumerate(histories):
            weights = self.config["alpha"] * self.config["decay"] ** np.arange(len(rows))[::-1]
            own = self.vectors[rows]
            left = self._gram + (own.T * weights) @ own
            out[i] = np.linalg.solve(left, own.T @ (1 + weights))
        return out

    def part(self, name: str) -> Part:
        arrays = {"item_vectors": self.vectors, "known": self.known} | stored(self.index)
        return Part(name=name, kind="factors", config=self.config, arrays=arrays)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a = part.arrays
        return cls(a["item_vectors"], known=a["known"], config=part.config, index=stored_index(part))


def fit_factors(dataset: Dataset, config: FactorsConfig, *, seed: int) -> FactorsSource:
    """Item factors of ALS or BPR; one BLAS thread, which is what `implicit` asks for."""
    seen = interactions(dataset)
    shared = {"factors": config.factors, "regularization": config.ridge, "iterations": config.iterations}
    with threadpool_limits(1, "blas"):
        if config.loss == "als":
            model = AlternatingLeastSquares(**shared, alpha=config.alpha, random_state=seed, num_threads=1)
        else:
            model = BayesianPersonalizedRanking(**shared, learning_rate=0.05, random_state=seed, num_threads=1)
        model.fit(seen, show_progress=False)
    vectors = np.ascontiguousarray(model.item_factors, dtype=np.float32)
    return FactorsSource(vectors, known=dataset.counts() > 0, config=asdict(config))
