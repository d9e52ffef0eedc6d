"""Several lists out of one set of scored candidates, clearly different from each other.

Source: the groups of diverse beam search (Vijayakumar et al., arXiv:1610.02424) with the overlap of sets as penalty, where
nothing conditions an item on the one before it: the first list is that of the best scores.
"""

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.source import Scores


def alternatives(
    scores: Scores,
    groups: NDArray[np.int64],
    *,
    count: int,
    length: int,
    strength: float,
    same_group: float,
) -> list[NDArray[np.int64]]:
    """`count` lists of places in `scores` (candidates,), best first; fewer items where candidates run out.

    `strength` is taken off a candidate's score for each earlier list that holds it, `same_group` for each earlier item of
    the same list with its group; group -1 is shared by none.
    """
    chosen, held = [], np.zeros(len(scores))
    for _ in range(count):
        places = _picked(scores - strength * held, groups, length=length, same_group=same_group)
        held[places] += 1
        chosen.append(places)
    return chosen


def _picked(
    left: NDArray[np.float64], groups: NDArray[np.int64], *, length: int, same_group: float
) -> NDArray[np.int64]:
    if not same_group:
        return np.argsort(-left, kind="stable")[:length]
    left, places = left.astype(np.float64), []
    for _ in range(min(length, len(left))):
        place = int(left.argmax())
        places.append(place)
        if groups[place] >= 0:
            left[groups == groups[place]] -= same_group
        left[place] = -np.inf
    return np.array(places, dtype=np.int64)
