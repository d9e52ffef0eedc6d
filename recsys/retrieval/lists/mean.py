"""A list as the mean of its items' vectors, plain or with frequent items weighing less.

Source: the weighted mean of Arora, Liang and Ma (ICLR 2017) as Papreja et al. (arXiv:1907.01098) use it for playlists: an
item weighs alpha / (alpha + its share of all events), and the first singular vector of the training lists is taken out.
Both see a list as a bag: its order is lost.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import inf
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.dataset import Dataset
from recsys.data.history import Rows
from recsys.errors import InvalidRequest
from recsys.retrieval.lists.encoder import ListEncoder, ListVectors
from recsys.retrieval.stored_arrays import check_shapes


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanConfig:
    """`alpha=None` is the plain mean."""

    alpha: float | None = None
    remove_first: bool = False

    def __post_init__(self) -> None:
        if self.alpha is not None and not 0 < self.alpha < inf:
            raise InvalidRequest(f"alpha={self.alpha}: it must be above 0 and finite, or left out for a plain mean")


MEAN = MeanConfig()
WEIGHTED = MeanConfig(alpha=1e-3, remove_first=True)


class MeanEncoder(ListEncoder):
    """`vectors` (items, dim), `weights` (items,) of each item, 0 for one that is not known; `first` (dim,) is taken out."""

    def __init__(
        self,
        vectors: NDArray[np.float32],
        *,
        weights: NDArray[np.float32],
        first: NDArray[np.float32],
        config: MeanConfig,
        name: str,
    ) -> None:
        self.vectors, self.weights, self.first, self.config, self._name = vectors, weights, first, config, name
        self.kind = "list-mean" if config.alpha is None else "list-weighted"

    @property
    def name(self) -> str:
        return self._name

    @property
    def dim(self) -> int:
        return self.vectors.shape[1]

    @cached_property
    def hash(self) -> str:
        return self.part(self.name).hash

    def encode(self, lists: Sequence[Rows]) -> ListVectors:
        """One sparse product, each list's items in catalogue order: the same bits for every shuffle and every batch."""
        means = _means(lists, self.vectors, self.weights)
        means -= np.outer(means @ self.first, self.first)
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        return np.where(lengths > 1e-6, means / np.maximum(lengths, 1e-6), 0).astype(np.float32)

    def part(self, name: str) -> Part:
        arrays = {"vectors": self.vectors, "weights": self.weights, "first": self.first}
        return Part(name=name, kind=self.kind, config=asdict(self.config), arrays=arrays)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a, name = part.arrays, part.name.rpartition("/")[2]
        check_shapes(a, first=(a["vectors"].shape[1],))
        return cls(a["vectors"], weights=a["weights"], first=a["first"], config=MeanConfig(**part.config), name=name)


def fit_mean(dataset: Dataset, vectors: NDArray[np.float32], config: MeanConfig, *, name: str) -> MeanEncoder:
    """The encoder over item `vectors` (items, dim); items with a vector of zeros are unknown. Frequencies and the first
    component come from the lists of `dataset` alone."""
    share = dataset.counts() / max(1, len(dataset.rows))
    raw = np.ones(len(vectors)) if config.alpha is None else config.alpha / (config.alpha + share)
    weights = np.where(np.abs(vectors).max(axis=1, initial=0) > 0, raw, 0).astype(np.float32)
    first = np.zeros(vectors.shape[1], dtype=np.float32)
    if config.remove_first and len(dataset):
        means = _means([history.rows for history in dataset.histories()], vectors, weights)
        first = np.linalg.eigh(means.T @ means)[1][:, -1].astype(np.float32)  # the first right singular vector
    return MeanEncoder(vectors, weights=weights, first=first, config=config, name=name)


def _means(lists: Sequence[Rows], vectors: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """(lists, dim): the weighted vectors of each list's items, over the number of its known items."""
    inside = [rows[rows < len(weights)] for rows in lists]
    known = [np.sort(rows[weights[rows] > 0]) for rows in inside]
    columns = np.concatenate([*known, np.empty(0, dtype=np.int64)])
    starts = np.concatenate([[0], np.cumsum([len(rows) for rows in known])])
    counted = np.repeat([max(1, len(rows)) for rows in known], [len(rows) for rows in known])
    members = sp.csr_matrix((weights[columns] / counted, columns, starts), shape=(len(lists), len(weights)))
    return np.asarray(members @ vectors, dtype=np.float64)
