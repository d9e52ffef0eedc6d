"""A trained sequence encoder as a source: the history's vector against every item's."""

from collections.abc import Sequence
from typing import Any, Self

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
        self._part, self.kind = part, part.kind
        recipe = part.config["recipe"]
        self._temperature = None if recipe["temperature"] is None else stored_temperature(recipe)
        settings = stored_settings(SequenceConfig, recipe["encoder"], where=part.name)
        self._encoder = stored_module(lambda: SequenceEncoder(settings), _tensors(part, "history."))
        self._project = _linear(_tensors(part, "text."))

    def encode(self, histories: Sequence[History]) -> NDArray[np.float32]:
        length = self._encoder.config.max_length
        cut = [history.rows[-length:] for history in histories]
        width = max(len(rows) for rows in cut)
        x = np.zeros((len(cut), width, self.vectors.shape[1]), dtype=np.float32)
        for i, rows in enumerate(cut):
            x[i, : len(rows)] = self.vectors[rows]
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
        with torch.inference_mode():
            new = self._project(torch.from_numpy(text))
            if (residual := self._part.arrays.get("residual")) is not None:
                trained = rows < len(residual)
                new[torch.from_numpy(trained)] += torch.from_numpy(residual[rows[trained]])
            if self._temperature is not None:
                new = nn.functional.normalize(new, dim=-1)
        return self._over(self.index.with_rows(rows, new.numpy()))

    def without_texts(self, rows: Rows) -> Self:
        """Items with a learned residual stay: they are known by that."""
        if self._project is None:
            return self
        residual = self._part.arrays.get("residual")
        return self._over(self.index.without(rows if residual is None else rows[rows >= len(residual)]))

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
