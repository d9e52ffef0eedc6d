"""Batches of texts to compare: one domain each, seeds with some of their partners, drawn so that small domains count."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from recsys.data.cooccurrence import Pairs, neighbours


@dataclass(frozen=True, slots=True, eq=False)
class PairIndex:
    """The items that a run learns from, numbered anew so that those of a domain lie together.

    `rows` are their catalogue rows, `partners` the numbers of each one's partners, `spans` where each domain lies.
    """

    rows: NDArray[np.int64]
    partners: list[NDArray[np.int64]]
    domains: tuple[str | None, ...]
    spans: tuple[tuple[int, int], ...]

    def named(self, fewest: int) -> list[str]:
        """The domains that have a name and at least `fewest` pairs."""
        ends = [sum(len(partners) for partners in self.partners[start:end]) for start, end in self.spans]
        return [name for name, count in zip(self.domains, ends, strict=True) if name and count >= 2 * fewest]


@dataclass(frozen=True, slots=True, eq=False)
class TextBatch:
    """`members` to encode, all of one domain; `general`: read by the general expert, as if their label were unknown."""

    domain: int
    members: NDArray[np.int64]
    general: bool


def index_pairs(pairs: Pairs, domains: Sequence[str | None]) -> PairIndex:
    """The items of `pairs`, by domain in alphabetical order (items without one first) and row."""
    paired = np.unique(pairs.rows)
    names = sorted({domains[row] for row in paired.tolist()}, key=lambda name: (name is not None, name or ""))
    number = {name: place for place, name in enumerate(names)}
    own = np.array([number[domains[row]] for row in paired.tolist()], dtype=np.int64)
    order = np.lexsort((paired, own))
    rows, own = paired[order], own[order]
    place = np.full(int(paired.max(initial=-1)) + 1, -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    bounds = np.searchsorted(own, np.arange(len(names) + 1))
    spans = tuple((int(start), int(end)) for start, end in pairwise(bounds))
    partners = neighbours(Pairs(place[pairs.rows], pairs.counts), items=len(rows))
    return PairIndex(rows, partners, tuple(names), spans)


def text_batches(
    learned: PairIndex, *, texts: int, beside: int, power: float, general: float, generator: np.random.Generator
) -> Iterator[TextBatch]:
    """One epoch: as many seeds as there are members, each batch about `texts` texts, of which `beside` a seed are partners.

    A batch's domain is drawn with probability proportional to its size to the `power`; a share `general` of the batches hides it.
    """
    sizes = np.array([end - start for start, end in learned.spans], dtype=np.float64)
    chance = sizes**power / (sizes**power).sum()
    seeds = max(1, texts // (1 + beside))
    waiting: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64) for _ in learned.spans]
    for _ in range(max(1, round(float(sizes.sum()) / seeds))):
        domain = int(generator.choice(len(chance), p=chance))
        start, end = learned.spans[domain]
        while len(waiting[domain]) < min(seeds, end - start):
            waiting[domain] = np.concatenate([waiting[domain], start + generator.permutation(end - start)])
        drawn, waiting[domain] = waiting[domain][:seeds], waiting[domain][seeds:]
        more = [generator.permutation(learned.partners[seed])[:beside] for seed in drawn.tolist()]
        chosen = np.unique(np.concatenate([drawn, *more]))
        yield TextBatch(domain, chosen, bool(generator.random() < general))
