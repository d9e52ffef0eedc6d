"""Several lists of one set of scored candidates, different from each other.

Source: diverse beam search (Vijayakumar et al., arXiv:1610.02424) with the overlap of sets as penalty, where no item is
conditioned on the one before it. The penalty of a list then depends on how many items of each group it has, not on their order,
and each further item of a group costs no less than the one before, so the greedy choice is optimal: no beam is needed.
"""

from collections.abc import Collection
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.lists.encoder import DecodingConfig
from recsys.retrieval.source import Scores


def alternatives(scores: Scores, groups: NDArray[np.int64], config: DecodingConfig) -> list[NDArray[np.int64]]:
    """`config.alternatives` lists of positions in `scores` (candidates,), no two of the same items, best first; fewer and
    shorter ones where candidates run out. Group -1 is shared by none."""
    lists, uses = dict[bytes, NDArray[np.int64]](), np.zeros(len(scores))
    for _ in range(config.alternatives):
        positions = _best_new_list(scores - config.strength * uses, groups, config, excluded=lists)
        uses[positions] += 1
        lists.setdefault(np.sort(positions).tobytes(), positions)
    return [positions for positions in lists.values() if len(positions)]


def _best_new_list(
    scores: NDArray[np.float64], groups: NDArray[np.int64], config: DecodingConfig, *, excluded: Collection[bytes]
) -> NDArray[np.int64]:
    """The best list whose items are not those of an `excluded` list; the best one where all that are as long are excluded.

    A list other than the best lacks one of its items: those without each of them are searched in turn, best first (Lawler,
    Management Science 1972).
    """
    positions, total = _best_list(scores, groups, config)
    best, tried, queue = positions, set[frozenset[int]](), [(-total, 0, frozenset[int](), positions)]
    while queue:
        *_, removed, positions = heappop(queue)
        if np.sort(positions).tobytes() not in excluded:
            return positions
        for item in positions.tolist():
            if (fewer := removed | {item}) not in tried:
                tried.add(fewer)
                positions, total = _best_list(_without(scores, fewer), groups, config)
                if len(positions) == len(best):
                    heappush(queue, (-total, len(tried), fewer, positions))
    return best


def _without(scores: NDArray[np.float64], items: Collection[int]) -> NDArray[np.float64]:
    scores = scores.copy()
    scores[list(items)] = -np.inf
    return scores


def _best_list(
    scores: NDArray[np.float64], groups: NDArray[np.int64], config: DecodingConfig
) -> tuple[NDArray[np.int64], float]:
    """(positions, their total score after penalties)."""
    if not config.same_group and config.most_of_group is None:
        positions = np.argsort(-scores, kind="stable")[: config.length]
        positions = positions[scores[positions] > -np.inf]
        return positions, float(scores[positions].sum())
    scores, chosen, total, max_per_group = scores.astype(np.float64), list[int](), 0.0, config.most_of_group or np.inf
    while len(chosen) < config.length and (scores > -np.inf).any():
        best = int(scores.argmax())
        chosen.append(best)
        total += float(scores[best])
        scores[best] = -np.inf
        if groups[best] >= 0:
            same = groups == groups[best]
            scores[same] -= config.same_group if (groups[chosen] == groups[best]).sum() < max_per_group else np.inf
    return np.array(chosen, dtype=np.int64), total
