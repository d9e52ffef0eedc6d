"""What a list's vector still tells: labelled questions that a small classifier is asked about frozen vectors.

Source: the probe suite of Papreja et al. (arXiv:1907.01098), with their labels where published and ours where not: balanced
classes over lists to learn from, to choose on and to test, which are those of the encoders (90 / 5 / 5 and not 80 / 10 / 10). A
list and its changed twin always stand on one side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import Rows
from recsys.data.playlists import Playlists

LONG, BIN, BINS = 30, 20, 10
"""Lengths from 30 to 230 in ten classes; where lists are shorter, in equal shares."""

AGREED = 0.5
"""Share of a list's items that has to be of one category for the list to be of it."""

FEWEST = 40
"""Lists that a class needs to be asked about."""

CLASSES = 9
"""The most categories asked about, the largest ones."""

CONTENT, MEANT = 100, 20
"""Items of which each list holds exactly one, and how often such an item stands in all lists at least."""

WINDOW = 32
"""Items of the lists in which two neighbours are swapped."""

LARGEST = 60_000
"""Lists of one question."""


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """One question: what `labels` (lists,) says of each of `lists`. `owner` is the stored list behind each."""

    name: str
    lists: list[Rows]
    labels: NDArray[np.int64]
    owner: NDArray[np.int64]

    @property
    def chance(self) -> float:
        """What guessing gives."""
        return 1 / len(np.unique(self.labels))


def category_attribute(lists: Playlists) -> str | None:
    """The attribute that tells most: of those with 2 to 50 values that nearly every item of the lists has, the one with most."""
    held = np.flatnonzero(lists.data.counts())
    found: dict[str, int] = {}
    for name in {key for row in held.tolist() for key in lists.attributes[row]}:
        values = [lists.attributes[row].get(name) for row in held.tolist()]
        distinct = {value for value in values if isinstance(value, str)}
        known = sum(isinstance(value, str) for value in values)
        if 2 <= len(distinct) <= 50 and known >= 0.9 * len(values):
            found[name] = len(distinct)
    return max(found, key=lambda name: (found[name], name), default=None)


def category_numbers(lists: Playlists, attribute: str) -> NDArray[np.int64]:
    """(items,) the number of each item's category, -1 where it has none."""
    values = [row.get(attribute) for row in lists.attributes]
    number = {value: n for n, value in enumerate(sorted({v for v in values if isinstance(v, str)}))}
    return np.array([number.get(value, -1) if isinstance(value, str) else -1 for value in values], dtype=np.int64)


def probes(lists: Playlists, *, category: NDArray[np.int64] | None, seed: int) -> list[Probe]:
    """All questions that these lists can be asked: those on categories need `category` (items,), and each needs lists enough."""
    rows = lists.rows()
    generator = np.random.default_rng(seed)
    found = [_length(rows), _content(rows, lists.data.counts()), _shuffled(rows, generator), _swapped(rows, generator)]
    if category is not None:
        found = [_category(rows, category), _diversity(rows, category), _switches(rows, category), *found]
    balanced = (_balanced(probe, generator) for probe in found)
    return [probe for probe in balanced if len(np.unique(probe.labels)) > 1]


def _category(rows: Sequence[Rows], category: NDArray[np.int64]) -> Probe:
    labels = []
    for one in rows:
        values, counts = np.unique(category[one][category[one] >= 0], return_counts=True)
        clear = len(values) and counts.max() > AGREED * len(one)
        labels.append(int(values[counts.argmax()]) if clear else -1)
    return _of("category", rows, _largest(np.array(labels)))


def _diversity(rows: Sequence[Rows], category: NDArray[np.int64]) -> Probe:
    return _of("diversity", rows, _quantiles(np.array([len(np.unique(category[one])) for one in rows]), bins=5))


def _switches(rows: list[Rows], category: NDArray[np.int64]) -> Probe:
    shares = [np.mean(np.diff(category[one]) != 0) if len(one) > 1 else np.nan for one in rows]
    return _of("switches", rows, _quantiles(np.array(shares), bins=5))


def _length(rows: Sequence[Rows]) -> Probe:
    lengths = np.array([len(one) for one in rows])
    if np.median(lengths) < LONG:
        return _of("length", rows, _quantiles(lengths, bins=BINS))
    bins = (lengths - LONG) // BIN
    return _of("length", rows, np.where((lengths >= LONG) & (bins < BINS), bins, -1))


def _content(rows: Sequence[Rows], counts: NDArray[np.int64]) -> Probe:
    """Of items that are neither rare nor popular, the one that a list holds, for lists that hold exactly one."""
    meant = np.flatnonzero(counts >= MEANT)
    middle = meant[np.argsort(counts[meant], kind="stable")]
    many = min(CONTENT, len(middle) // 10)  # of a small catalogue few, or hardly a list would hold exactly one
    start = (len(middle) - many) // 2
    asked = np.full(len(counts), -1)
    asked[middle[start : start + many]] = np.arange(many)
    labels = []
    for one in rows:
        held = np.unique(asked[one][asked[one] >= 0])
        labels.append(int(held[0]) if len(held) == 1 else -1)
    return _of("content", rows, np.array(labels))


def _shuffled(rows: Sequence[Rows], generator: np.random.Generator) -> Probe:
    """Is it as it was, or has it been shuffled?"""
    chosen = [(n, one) for n, one in enumerate(rows) if len(np.unique(one)) > 2]
    return _twins("order, shuffled", chosen, [generator.permutation(one) for _, one in chosen])


def _swapped(rows: Sequence[Rows], generator: np.random.Generator) -> Probe:
    """Is a piece of up to 32 items as it was, or have two neighbours been swapped?"""
    pieces = [(n, one[at : at + WINDOW]) for n, one in enumerate(rows) for at in range(0, len(one), WINDOW)]
    pieces = [(n, one) for n, one in pieces if len(one) > 4 and (np.diff(one) != 0).all()]
    changed = []
    for _, one in pieces:
        at = int(generator.integers(len(one) - 1))
        twin = one.copy()
        twin[[at, at + 1]] = one[[at + 1, at]]
        changed.append(twin)
    return _twins("order, neighbours swapped", pieces, changed)


def _twins(name: str, pieces: Sequence[tuple[int, Rows]], changed: Sequence[Rows]) -> Probe:
    owner = np.array([n for n, _ in pieces] * 2, dtype=np.int64)
    labels = np.repeat([0, 1], len(pieces)).astype(np.int64)
    return Probe(name, [*(one for _, one in pieces), *changed], labels, owner)


def _of(name: str, rows: Sequence[Rows], labels: NDArray[np.int64]) -> Probe:
    """Of the lists that have a label; -1 is none."""
    kept = np.flatnonzero((labels >= 0) & np.array([len(one) > 0 for one in rows]))
    return Probe(name, [rows[i] for i in kept.tolist()], labels[kept], kept)


def _largest(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The labels of the largest classes; -1 for the rest."""
    values, counts = np.unique(labels[labels >= 0], return_counts=True)
    kept = values[np.argsort(-counts, kind="stable")[:CLASSES]]
    return np.where(np.isin(labels, kept), labels, -1)


def _quantiles(values: NDArray[np.float64] | NDArray[np.int64], *, bins: int) -> NDArray[np.int64]:
    """The share of the values in which each lies; equal values lie together, so that there may be fewer classes than `bins`."""
    real = ~np.isnan(values)
    if not real.any():
        return np.full(len(values), -1)
    edges = np.unique(np.quantile(values[real], np.linspace(0, 1, bins + 1)[1:-1]))
    return np.where(real, np.searchsorted(edges, values, side="left"), -1)


def _balanced(probe: Probe, generator: np.random.Generator) -> Probe:
    """Every class as often as the rarest that is large enough; twins stay together."""
    values, counts = np.unique(probe.labels, return_counts=True)
    fewest = FEWEST if len(values) < CONTENT // 2 else FEWEST // 4
    values, counts = values[counts >= fewest], counts[counts >= fewest]
    if len(values) < 2:
        return Probe(probe.name, [], probe.labels[:0], probe.owner[:0])
    size = min(int(counts.min()), LARGEST // len(values))
    if probe.name.startswith("order"):
        half = len(probe.labels) // 2
        pairs = np.sort(generator.permutation(half)[:size])
        kept = np.concatenate([pairs, half + pairs])
    else:
        per_class = [generator.permutation(np.flatnonzero(probe.labels == value))[:size] for value in values]
        kept = np.sort(np.concatenate(per_class))
    labels = np.searchsorted(values, probe.labels[kept])
    return Probe(probe.name, [probe.lists[i] for i in kept], labels, probe.owner[kept])
