"""Pairs of items that occur together: within a few positions of each other, in the lists of several people.

Both items of a pair are of one domain. A list is a history, a playlist or a basket; it counts a pair once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.errors import ConfigError
from recsys.data.history import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsConfig:
    """Two items make a pair if they are at most `window` positions apart in at least `lists` lists.

    At most `most` pairs of an item and `domain_most` of a domain count, the best by count times pointwise mutual information.
    """

    window: int = 5
    lists: int = 2
    most: int = 20
    domain_most: int = 20_000

    def __post_init__(self) -> None:
        if min(self.window, self.lists, self.most, self.domain_most) < 1:
            raise ConfigError(f"{self}: all must be at least 1")


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Undirected pairs of catalogue rows (pairs, 2), the smaller first, and the number of lists with each."""

    rows: NDArray[np.int64]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def any_in(self, chosen: NDArray[np.bool_]) -> "Pairs":
        """The pairs with at least one item among `chosen` (items,)."""
        selected = chosen[self.rows].any(axis=1) if len(self) else np.zeros(0, dtype=np.bool_)
        return Pairs(self.rows[selected], self.counts[selected])

    def both_in(self, chosen: NDArray[np.bool_]) -> "Pairs":
        """The pairs with both items among `chosen` (items,)."""
        selected = chosen[self.rows].all(axis=1) if len(self) else np.zeros(0, dtype=np.bool_)
        return Pairs(self.rows[selected], self.counts[selected])


def mine_pairs(rows: Rows, list_ids: NDArray[np.int64], *, domains: Sequence[str | None], config: PairsConfig) -> Pairs:
    """Pairs of the lists in `rows`, where `list_ids` has the list of each entry; lists are stored end to end, in their order."""
    label = {domain: number for number, domain in enumerate(dict.fromkeys(domains))}
    domain = np.array([label[name] for name in domains], dtype=np.int64)
    items = len(domain)
    by_distance = [
        _at_distance(rows, list_ids, domain, distance=distance, items=items) for distance in range(1, config.window + 1)
    ]
    once = np.unique(np.concatenate(by_distance), axis=0) if by_distance else np.empty((0, 2), dtype=np.int64)
    keys, counts = np.unique(once[:, 1], return_counts=True)
    enough = counts >= config.lists
    pairs = Pairs(np.stack([keys // items, keys % items], axis=1)[enough], counts[enough].astype(np.int64))
    return _capped(pairs, domain, config)


def split_items(pairs: Pairs, *, items: int, share: float, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(items to learn from, items held out) as flags: `share` of the items that are in any pair is held out."""
    paired = np.zeros(items, dtype=np.bool_)
    paired[pairs.rows] = True
    order = np.random.default_rng(seed).permutation(np.flatnonzero(paired))
    held_out = np.zeros(items, dtype=np.bool_)
    held_out[order[: round(share * len(order))]] = True
    return paired & ~held_out, held_out


def neighbours(pairs: Pairs, *, items: int) -> list[NDArray[np.int64]]:
    """The partners of each row, both directions."""
    ends = np.concatenate([pairs.rows, pairs.rows[:, ::-1]])
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    starts = np.searchsorted(ends[order, 0], np.arange(items + 1))
    partners = ends[order, 1]
    return [partners[start:end] for start, end in pairwise(starts)]


def _at_distance(
    rows: Rows, list_ids: NDArray[np.int64], domain: NDArray[np.int64], *, distance: int, items: int
) -> NDArray[np.int64]:
    """(list, pair as one number) of entries `distance` positions from each other in one list."""
    a, b = rows[:-distance], rows[distance:]
    is_pair = (list_ids[:-distance] == list_ids[distance:]) & (a != b) & (domain[a] == domain[b])
    a, b = a[is_pair], b[is_pair]
    return np.stack([list_ids[:-distance][is_pair], np.minimum(a, b) * items + np.maximum(a, b)], axis=1)


def _capped(pairs: Pairs, domain: NDArray[np.int64], config: PairsConfig) -> Pairs:
    """The best pairs of each item and of each domain; a pair must be among the best of both its items."""
    if not len(pairs):
        return pairs
    occurrences = np.bincount(pairs.rows.ravel(), weights=np.repeat(pairs.counts, 2), minlength=len(domain))
    expected = occurrences[pairs.rows].prod(axis=1) / occurrences.sum()
    score = pairs.counts * np.maximum(np.log(pairs.counts / expected), 0)
    ends = pairs.rows.T.ravel()  # an item's pairs are ranked together, whichever end of them it is
    best: NDArray[np.bool_] = np.all(_rank_within(ends, np.tile(score, 2)).reshape(2, -1) < config.most, axis=0)
    best[best] &= _rank_within(domain[pairs.rows[best, 0]], score[best]) < config.domain_most
    return Pairs(pairs.rows[best], pairs.counts[best])


def _rank_within(groups: NDArray[np.int64], score: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank of each entry in its group, 0 for the largest score."""
    order = np.lexsort((-score, groups))
    sorted_groups = groups[order]
    first = np.searchsorted(sorted_groups, sorted_groups)
    rank = np.empty(len(groups), dtype=np.int64)
    rank[order] = np.arange(len(groups)) - first
    return rank
