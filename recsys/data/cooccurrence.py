"""Pairs of items that go together: within a few places of each other, in the lists of several people.

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
    """`window` is how many places apart two items may be, `lists` in how many lists at least.

    An item keeps its `most` best pairs, a domain its `domain_most`, by count times pointwise mutual information.
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
    """Undirected pairs of catalogue rows (pairs, 2), the smaller first, and in how many lists each was met."""

    rows: NDArray[np.int64]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def any_in(self, chosen: NDArray[np.bool_]) -> "Pairs":
        """Those with at least one item among `chosen` (items,)."""
        kept = chosen[self.rows].any(axis=1) if len(self) else np.zeros(0, dtype=np.bool_)
        return Pairs(self.rows[kept], self.counts[kept])

    def both_in(self, chosen: NDArray[np.bool_]) -> "Pairs":
        """Those with both items among `chosen` (items,)."""
        kept = chosen[self.rows].all(axis=1) if len(self) else np.zeros(0, dtype=np.bool_)
        return Pairs(self.rows[kept], self.counts[kept])


def mine_pairs(rows: Rows, owners: NDArray[np.int64], *, domains: Sequence[str | None], config: PairsConfig) -> Pairs:
    """Pairs of the lists in `rows`, where `owners` says whose each entry is; lists lie end to end, in their order."""
    label = {domain: number for number, domain in enumerate(dict.fromkeys(domains))}
    domain = np.array([label[one] for one in domains], dtype=np.int64)
    items = len(domain)
    met = [_near(rows, owners, domain, apart=apart, items=items) for apart in range(1, config.window + 1)]
    once = np.unique(np.concatenate(met), axis=0) if met else np.empty((0, 2), dtype=np.int64)
    keys, counts = np.unique(once[:, 1], return_counts=True)
    enough = counts >= config.lists
    pairs = Pairs(np.stack([keys // items, keys % items], axis=1)[enough], counts[enough].astype(np.int64))
    return _capped(pairs, domain, config)


def split_items(pairs: Pairs, *, items: int, share: float, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(items to learn from, items held out) as flags: `share` of the items that are in any pair is held out."""
    paired = np.zeros(items, dtype=np.bool_)
    paired[pairs.rows] = True
    order = np.random.default_rng(seed).permutation(np.flatnonzero(paired))
    held = np.zeros(items, dtype=np.bool_)
    held[order[: round(share * len(order))]] = True
    return paired & ~held, held


def neighbours(pairs: Pairs, *, items: int) -> list[NDArray[np.int64]]:
    """The partners of each row, both directions."""
    ends = np.concatenate([pairs.rows, pairs.rows[:, ::-1]])
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    starts = np.searchsorted(ends[order, 0], np.arange(items + 1))
    partners = ends[order, 1]
    return [partners[start:end] for start, end in pairwise(starts)]


def _near(
    rows: Rows, owners: NDArray[np.int64], domain: NDArray[np.int64], *, apart: int, items: int
) -> NDArray[np.int64]:
    """(owner, pair as one number) of entries `apart` places from each other in one list."""
    a, b = rows[:-apart], rows[apart:]
    kept = (owners[:-apart] == owners[apart:]) & (a != b) & (domain[a] == domain[b])
    a, b = a[kept], b[kept]
    return np.stack([owners[:-apart][kept], np.minimum(a, b) * items + np.maximum(a, b)], axis=1)


def _capped(pairs: Pairs, domain: NDArray[np.int64], config: PairsConfig) -> Pairs:
    """The best pairs of each item and of each domain; a pair stays where both its ends keep it."""
    if not len(pairs):
        return pairs
    met = np.bincount(pairs.rows.ravel(), weights=np.repeat(pairs.counts, 2), minlength=len(domain))
    expected = met[pairs.rows].prod(axis=1) / met.sum()
    worth = pairs.counts * np.maximum(np.log(pairs.counts / expected), 0)
    ends = pairs.rows.T.ravel()  # an item's pairs are ranked together, whichever end of them it is
    kept: NDArray[np.bool_] = np.all(_rank_within(ends, np.tile(worth, 2)).reshape(2, -1) < config.most, axis=0)
    kept[kept] &= _rank_within(domain[pairs.rows[kept, 0]], worth[kept]) < config.domain_most
    return Pairs(pairs.rows[kept], pairs.counts[kept])


def _rank_within(groups: NDArray[np.int64], worth: NDArray[np.float64]) -> NDArray[np.int64]:
    """Place of each entry among those of its group, the worthiest 0."""
    order = np.lexsort((-worth, groups))
    sorted_groups = groups[order]
    first = np.searchsorted(sorted_groups, sorted_groups)
    rank = np.empty(len(groups), dtype=np.int64)
    rank[order] = np.arange(len(groups)) - first
    return rank
