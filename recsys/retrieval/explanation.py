"""Why an item was recommended: the items of the history that speak for it most."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import History, Rows

if TYPE_CHECKING:
    from recsys.retrieval.source import Query, StoredSource

MAX_REASONS = 3
MAX_EVENTS = 50
"""Events of a history, the last ones, that are left out one by one."""


@dataclass(frozen=True, slots=True)
class Reason:
    """An item of the history by its row, and its `weight`: comparable within one answer and one source only."""

    row: int
    weight: float


Explanation = tuple[Reason, ...]
"""At most `MAX_REASONS` items of the history, the heaviest first; none where nothing of the history speaks for the item."""


def strongest(history: Rows, weights: NDArray[np.floating]) -> list[Explanation]:
    """The explanations of weights (history items, rows): those above 0, the largest first."""
    order = np.argsort(-weights, axis=0, kind="stable")[:MAX_REASONS]
    return [
        tuple(Reason(int(history[i]), float(weights[i, column])) for i in order[:, column] if weights[i, column] > 0)
        for column in range(weights.shape[1])
    ]


def leave_one_out(source: "StoredSource", query: "Query", rows: Rows) -> list[Explanation]:
    """What each item of the history adds to the scores of `rows`: the score, less that without the item's events.

    All shortened histories are scored in one pass. An item without which there is nothing to score by is the only reason there
    is, whatever the score: its weight is the size of the score.
    """
    items = np.unique(query.history.rows[-MAX_EVENTS:])
    if not len(items) or not len(rows):
        return [() for _ in rows]
    shorter = [replace(query, history=_without(query.history, item)) for item in items.tolist()]
    scores = source.score([query, *shorter], np.tile(rows, (len(shorter) + 1, 1))).astype(np.float64)
    added = np.where(np.isnan(scores[1:]), np.abs(scores[0]), scores[0] - scores[1:])
    return strongest(items, np.nan_to_num(added))


def nearest(vectors: NDArray[np.float32], history: Rows, rows: Rows) -> list[Explanation]:
    """The items of `history` whose `vectors` (items, dim), of unit length, are nearest to each of `rows`, by cosine."""
    items = np.unique(history)
    if not len(items):
        return [() for _ in rows]
    inside = rows < len(vectors)
    cosines = vectors[items] @ vectors[np.where(inside, rows, 0)].T
    return strongest(items, np.where(inside, cosines, 0))


def merged(explanations: Sequence[tuple[NDArray[np.int64], Sequence[Explanation]]], *, count: int) -> list[Explanation]:
    """`count` explanations, of which each entry gives those at some positions."""
    out: list[Explanation] = [()] * count
    for positions, of_source in explanations:
        for position, explanation in zip(positions.tolist(), of_source, strict=True):
            out[position] = explanation
    return out


def _without(history: History, item: int) -> History:
    return history.select(history.rows != item)
