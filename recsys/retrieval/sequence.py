"""A trained sequence encoder as a source: the history's vector against every item's."""

from collections.abc import Sequence
from copy import copy
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.batch import Timeline
from models.encoders.sequence import SequenceConfig, SequenceEncoder
from models.pooling.last import last
from recsys.bundle import Part
from recsys.data.history import History, Rows
from recsys.encoders.stored_module import stored_module
from recsys.indexes.index import Index
from recsys.retrieval.dense import DenseSource, index_arrays, stored_index
from recsys.retrieval.stored_arrays import check_shapes
from recsys.retrieval.stored_settings import stored_settings, stored_temperature


class SequenceSource(DenseSource):
    """Runs the encoder over the vectors of the last `max_length` known items."""

    caches_queries = True  # the encoder takes longer than all else

    def __init__(
        self, part: Part, vectors: NDArray[np.float32], *, known: NDArray[np.bool_], index: Index | None = None
    ) -> None:
        super().__init__(vectors, known=known, index=index)
        self._inputs = self.vectors
        self._part, self.kind = part, part.kind
        recipe = part.config["recipe"]
        self._temperature = None if recipe["temperature"] is None else stored_temperature(recipe)
        settings = stored_settings(SequenceConfig, recipe["encoder"], where=part.name)
        self._encoder = stored_module(lambda: SequenceEncoder(settings), _tensors(part, "history."))
        self._project = _linear(_tensors(part, "text."))
        self._has_residual = np.zeros(len(vectors), dtype=np.bool_)
        if (residual := part.arrays.get("residual")) is not None:
            self._has_residual[: len(residual)] = (residual != 0).any(axis=1)[: len(vectors)]

    def encode(self, histories: Sequence[History]) -> NDArray[np.float32]:
        length = self._encoder.config.max_length
        cut = [history.rows[-length:] for history in histories]
        width = max(len(rows) for rows in cut)
        x = np.zeros((len(cut), width, self.vectors.shape[1]), dtype=np.float32)
        for i, rows in enumerate(cut):
            x[i, : len(rows)] = self._inputs[rows]
        real = torch.arange(width) < torch.tensor([len(rows) for rows in cut])[:, None]
        when = Timeline(real, torch.arange(width).expand(len(cut), width))
        with torch.inference_mode():
            y = last(self._encoder(torch.from_numpy(x) * x.shape[2] ** 0.5, when), when)
            if self._temperature is not None:
                y = nn.functional.normalize(y, dim=-1) / self._temperature
        return y.numpy()

    def with_items(self, rows: Rows, text: NDArray[np.float32]) -> Self:
        """Items by their new text, with the learned residual of those that were trained on.

        An encoder of ids alone learns nothing from a text and stays as it is.
        """
        if self._project is None:
            return self
        residuals = np.zeros((len(rows), self.vectors.shape[1]), dtype=np.float32)
        if (residual := self._part.arrays.get("residual")) is not None:
            trained = rows < len(residual)
            residuals[trained] = residual[rows[trained]]
        return self._over(self.index.with_rows(rows, self._item_vectors(self._project, text, residuals)))

    def as_new(self, rows: Rows, text: NDArray[np.float32]) -> Self:
        """Without the residuals of `rows`."""
        if self._project is None or "residual" not in self._part.arrays:
            return self
        other = copy(self)
        other.vectors = self.vectors.copy()
        other.vectors[rows] = self._item_vectors(self._project, text, np.zeros((), dtype=np.float32))
        return other

    def _item_vectors(
        self, project: nn.Linear, text: NDArray[np.float32], residuals: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        with torch.inference_mode():
            vectors = project(torch.from_numpy(text)) + torch.from_numpy(residuals)
            if self._temperature is not None:
                vectors = nn.functional.normalize(vectors, dim=-1)
        return cast(NDArray[np.float32], vectors.numpy())

    def without_texts(self, rows: Rows) -> Self:
        """Items with a learned residual stay: they are known by that."""
        if self._project is None:
            return self
        return self._over(self.index.without(rows[~np.isin(rows, np.flatnonzero(self._has_residual))]))

    @property
    def trained(self) -> NDArray[np.bool_] | None:
        """By ids: those known; by ids and texts: those with a residual; by texts alone: none, it learned no item by itself."""
        if self._project is None:
            return self.known
        return self._has_residual if "residual" in self._part.arrays else None

    def _over(self, index: Index) -> Self:
        return type(self)(self._part, index.vectors, known=index.known, index=index)

    @property
    def text_encoder(self) -> str:
        """Empty for an encoder of ids alone."""
        return self._part.config["recipe"]["text_encoder"] or ""

    def part(self, name: str) -> Part:
        p = self._part
        arrays = p.arrays | {"item_vectors": self.vectors, "known": self.known} | index_arrays(self.index)
        return Part(name=name, kind=p.kind, config=p.config, arrays=arrays, figures=p.figures)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        vectors, known = part.arrays["item_vectors"], part.arrays["known"]
        if (residual := part.arrays.get("residual")) is not None:
            check_shapes(part.arrays, residual=(len(residual), vectors.shape[1]))
        return cls(part, vectors, known=known, index=stored_index(part))


def _tensors(part: Part, prefix: str) -> dict[str, Any]:
    return {k.removeprefix(prefix): torch.from_numpy(v) for k, v in part.arrays.items() if k.startswith(prefix)}


def _linear(state: dict[str, Any]) -> nn.Linear | None:
    if not state:
        return None
    layer = nn.Linear(state["weight"].shape[1], state["weight"].shape[0])
    layer.load_state_dict(state)
    return layer.eval()
