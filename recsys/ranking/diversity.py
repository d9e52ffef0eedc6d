"""Several lists out of one set of scored candidates, clearly different from each other.

Source: diverse beam search (Vijayakumar et al., arXiv:1610.02424) with the overlap of sets as penalty, where nothing conditions
an item on the one before it. What a list loses to groups then depends on how many of each it holds, not on their order, and each
more of one group costs no less than the one before, so that the best list is found item by item: a beam of any width ends there.
"""

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.lists.encoder import DecodingConfig
from recsys.retrieval.source import Scores


def alternatives(scores: Scores, groups: NDArray[np.int64], wanted: DecodingConfig) -> list[NDArray[np.int64]]:
    """`wanted.alternatives` different lists of places in `scores` (candidates,), best first; fewer where the strength is too
    small to make more, shorter ones where candidates run out. Group -1 is shared by none."""
    chosen, held = dict[bytes, NDArray[np.int64]](), np.zeros(len(scores))
    for _ in range(wanted.alternatives):
        places = _picked(scores - wanted.strength * held, groups, wanted)
        held[places] += 1
        chosen.setdefault(np.sort(places).tobytes(), places)
    return [places for places in chosen.values() if len(places)]


def _picked(left: NDArray[np.float64], groups: NDArray[np.int64], wanted: DecodingConfig) -> NDArray[np.int64]:
    if not wanted.same_group and wanted.most_of_group is None:
        return np.argsort(-left, kind="stable")[: wanted.length]
    left, places, most = left.astype(np.float64), list[int](), wanted.most_of_group or np.inf
    while len(places) < wanted.length and (left > -np.inf).any():
        place = int(left.argmax())
        places.append(place)
        left[place] = -np.inf
        if groups[place] >= 0:
            same = groups == groups[place]
            left[same] -= wanted.same_group if (groups[places] == groups[place]).sum() < most else np.inf
    return np.array(places, dtype=np.int64)
