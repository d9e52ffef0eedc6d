"""The items with events that stand for an item by its text: those whose texts are nearest to it."""

from dataclasses import dataclass
from math import inf

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.data.history import Rows
from recsys.encoders.base import Vectors
from recsys.encoders.normalize import l2_normalize

TEXTS_PER_BLOCK = 256
"""Texts compared with all neighbours at once: bounds the cosines in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class TextNeighbours:
    """Items that may stand for others: their catalogue `rows`, ascending, and unit `vectors` (rows, dim) of their texts.

    `count` of them stand for a text, by the softmax of their cosines over `temperature`.
    """

    rows: Rows
    vectors: Vectors
    count: int
    temperature: float

    def weights(self, rows: Rows, text: Vectors, *, items: int) -> sp.csr_matrix:
        """(rows, items): how much each item stands for those at `rows`, whose texts are `text` (rows, dim); none for itself."""
        blocks = [sp.csr_matrix((0, items), dtype=np.float32)]
        for start in range(0, len(rows), TEXTS_PER_BLOCK):
            span = slice(start, start + TEXTS_PER_BLOCK)
            cosines = l2_normalize(text[span]) @ self.vectors.T
            cosines[rows[span, None] == self.rows] = -inf
            blocks.append(self._softmax(cosines, items=items))
        return sp.csr_matrix(sp.vstack(blocks))

    def _softmax(self, cosines: NDArray[np.float32], *, items: int) -> sp.csr_matrix:
        count = min(self.count, len(self.rows))
        if not count:
            return sp.csr_matrix((len(cosines), items), dtype=np.float32)
        columns = np.sort(np.argpartition(-cosines, count - 1, axis=1)[:, :count], axis=1)
        logits = np.take_along_axis(cosines, columns, axis=1) / self.temperature
        weights = np.exp(logits - np.maximum(logits.max(axis=1, keepdims=True), -1 / self.temperature))
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
        starts = np.arange(0, weights.size + 1, count)
        out = sp.csr_matrix((weights.ravel(), self.rows[columns].ravel(), starts), shape=(len(cosines), items))
        out.eliminate_zeros()
        return out
