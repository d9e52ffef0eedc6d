"""Batches of texts of one domain: anchors with some of their partners, sampled so that small domains count."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from recsys.data.cooccurrence import Pairs, neighbours


@dataclass(frozen=True, slots=True, eq=False)
class PairIndex:
    """The paired items, numbered so that those of a domain are adjacent: `rows` are their catalogue rows.

    `partners` are the numbers of each item's partners, `spans` the first number of each domain and the one after its last.
    """

    rows: NDArray[np.int64]
    partners: list[NDArray[np.int64]]
    domains: tuple[str | None, ...]
    spans: tuple[tuple[int, int], ...]

    def named_domains(self, *, min_pairs: int) -> list[str]:
        """The domains that have a name and at least `min_pairs` pairs."""
        ends = [sum(len(partners) for partners in self.partners[start:end]) for start, end in self.spans]
        return [name for name, count in zip(self.domains, ends, strict=True) if name and count >= 2 * min_pairs]


@dataclass(frozen=True, slots=True, eq=False)
class TextBatch:
    """`members` to encode, all of one domain; `general`: by the general expert, as if their domain were unknown."""

    domain: int
    members: NDArray[np.int64]
    general: bool


def index_pairs(pairs: Pairs, domains: Sequence[str | None]) -> PairIndex:
    """The items of `pairs`, by domain in alphabetical order (items without one first) and row."""
    paired = np.unique(pairs.rows)
    names = sorted({domains[row] for row in paired.tolist()}, key=lambda name: (name is not None, name or ""))
    domain_numbers = {name: number for number, name in enumerate(names)}
    labels = np.array([domain_numbers[domains[row]] for row in paired.tolist()], dtype=np.int64)
    order = np.lexsort((paired, labels))
    rows, labels = paired[order], labels[order]
    numbers = np.full(int(paired.max(initial=-1)) + 1, -1, dtype=np.int64)
    numbers[rows] = np.arange(len(rows))
    bounds = np.searchsorted(labels, np.arange(len(names) + 1))
    spans = tuple((int(start), int(end)) for start, end in pairwise(bounds))
    partners = neighbours(Pairs(numbers[pairs.rows], pairs.counts), items=len(rows))
    return PairIndex(rows, partners, tuple(names), spans)


def text_batches(
    index: PairIndex,
    *,
    batch_size: int,
    positives_per_anchor: int,
    domain_sampling_power: float,
    label_dropout: float,
    generator: np.random.Generator,
) -> Iterator[TextBatch]:
    """One epoch: as many anchors as there are items, in batches of about `batch_size` texts.

    A batch's domain is sampled with probability proportional to its size to the `domain_sampling_power`; a share
    `label_dropout` of the batches hides it.
    """
    sizes = np.array([end - start for start, end in index.spans], dtype=np.float64)
    probabilities = sizes**domain_sampling_power / (sizes**domain_sampling_power).sum()
    anchors_per_batch = max(1, batch_size // (1 + positives_per_anchor))
    queues: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64) for _ in index.spans]
    for _ in range(max(1, round(float(sizes.sum()) / anchors_per_batch))):
        domain = int(generator.choice(len(probabilities), p=probabilities))
        start, end = index.spans[domain]
        while len(queues[domain]) < min(anchors_per_batch, end - start):
            queues[domain] = np.concatenate([queues[domain], start + generator.permutation(end - start)])
        anchors, queues[domain] = queues[domain][:anchors_per_batch], queues[domain][anchors_per_batch:]
        positives = [
            generator.permutation(index.partners[anchor])[:positives_per_anchor] for anchor in anchors.tolist()
        ]
        members = np.unique(np.concatenate([anchors, *positives]))
        yield TextBatch(domain, members, bool(generator.random() < label_dropout))
