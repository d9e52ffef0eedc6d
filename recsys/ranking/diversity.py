"""Several lists of one set of scored candidates, different from each other.

Source: diverse beam search (Vijayakumar et al., arXiv:1610.02424) with the overlap of sets as penalty, where no item is
conditioned on the one before it. The penalty of a list then depends on how many items of each group it has, not on their order,
and each further item of a group costs no less than the one before, so the greedy choice is optimal: no beam is needed.
"""

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.lists.encoder import DecodingConfig
from recsys.retrieval.source import Scores


def alternatives(scores: Scores, groups: NDArray[np.int64], config: DecodingConfig) -> list[NDArray[np.int64]]:
    """`config.alternatives` different lists of positions in `scores` (candidates,), best first; fewer where the strength is too
    small to make more, shorter ones where candidates run out. Group -1 is shared by none."""
    lists, uses = dict[bytes, NDArray[np.int64]](), np.zeros(len(scores))
    for _ in range(config.alternatives):
        positions = _best_list(scores - config.strength * uses, groups, config)
        uses[positions] += 1
        lists.setdefault(np.sort(positions).tobytes(), positions)
    return [positions for positions in lists.values() if len(positions)]


def _best_list(scores: NDArray[np.float64], groups: NDArray[np.int64], config: DecodingConfig) -> NDArray[np.int64]:
    if not config.same_group and config.most_of_group is None:
        return np.argsort(-scores, kind="stable")[: config.length]
    scores, positions, max_per_group = scores.astype(np.float64), list[int](), config.most_of_group or np.inf
    while len(positions) < config.length and (scores > -np.inf).any():
        best = int(scores.argmax())
        positions.append(best)
        scores[best] = -np.inf
        if groups[best] >= 0:
            same = groups == groups[best]
            scores[same] -= config.same_group if (groups[positions] == groups[best]).sum() < max_per_group else np.inf
    return np.array(positions, dtype=np.int64)
