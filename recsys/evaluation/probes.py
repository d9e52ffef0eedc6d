"""Probing tasks: lists with labels that a small classifier predicts from frozen list vectors.

Source: the probe suite of Papreja et al. (arXiv:1907.01098), with their labels where published and ours where not. Classes are
balanced. Folds are those of the encoders (90 / 5 / 5, not 80 / 10 / 10). A list and its changed copy share a fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import Rows
from recsys.data.playlists import Playlists

MIN_ITEMS, ITEMS_PER_BIN, BINS = 30, 20, 10
"""Lengths from 30 to 230 in ten classes; where lists are shorter, in equal shares."""

MIN_CATEGORY_SHARE = 0.5
"""A list gets the category that more than this share of its items have."""

MIN_LISTS_PER_CLASS = 40
"""Smaller classes are left out."""

MAX_CATEGORIES = 9
"""Only the largest categories are labels."""

CONTENT_ITEMS, MIN_OCCURRENCES = 100, 20
"""Classes of `content`: items that each occur in all lists together at least `MIN_OCCURRENCES` times."""

ITEMS_PER_WINDOW = 32
"""Lists are split into windows of this length before two neighbours are swapped."""

MAX_LISTS_PER_QUESTION = 60_000
"""Larger questions are sampled down to this."""


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """One question: `labels` (lists,) are the classes of `lists`, `owner` (lists,) the stored list that each comes from."""

    name: str
    lists: list[Rows]
    labels: NDArray[np.int64]
    owner: NDArray[np.int64]

    @property
    def chance(self) -> float:
        """Accuracy of guessing."""
        return 1 / len(np.unique(self.labels))


def category_attribute(lists: Playlists) -> str | None:
    """The attribute with the most values among those with 2 to 50 that 90 % of the items in lists have; None without one."""
    items = np.flatnonzero(lists.data.counts()).tolist()
    sizes: dict[str, int] = {}
    for name in {key for row in items for key in lists.attributes[row]}:
        values = [lists.attributes[row].get(name) for row in items]
        distinct = {value for value in values if isinstance(value, str)}
        known = sum(isinstance(value, str) for value in values)
        if 2 <= len(distinct) <= 50 and known >= 0.9 * len(values):
            sizes[name] = len(distinct)
    return max(sizes, key=lambda name: (sizes[name], name), default=None)


def category_numbers(lists: Playlists, attribute: str) -> NDArray[np.int64]:
    """(items,) the number of each item's category, -1 where it has none."""
    values = [row.get(attribute) for row in lists.attributes]
    number = {value: n for n, value in enumerate(sorted({v for v in values if isinstance(v, str)}))}
    return np.array([number.get(value, -1) if isinstance(value, str) else -1 for value in values], dtype=np.int64)


def probes(lists: Playlists, *, category: NDArray[np.int64] | None, seed: int) -> list[Probe]:
    """The questions that have enough of these lists. Questions about categories need `category` (items,)."""
    rows = lists.rows()
    generator = np.random.default_rng(seed)
    questions = [
        _length(rows),
        _content(rows, lists.data.counts()),
        _shuffled(rows, generator),
        _swapped(rows, generator),
    ]
    if category is not None:
        questions = [_category(rows, category), _diversity(rows, category), _switches(rows, category), *questions]
    balanced = (_balanced(probe, generator) for probe in questions)
    return [probe for probe in balanced if len(np.unique(probe.labels)) > 1]


def _category(rows: Sequence[Rows], category: NDArray[np.int64]) -> Probe:
    labels = []
    for items in rows:
        values, counts = np.unique(category[items][category[items] >= 0], return_counts=True)
        clear = len(values) and counts.max() > MIN_CATEGORY_SHARE * len(items)
        labels.append(int(values[counts.argmax()]) if clear else -1)
    return _labelled("category", rows, _largest(np.array(labels)))


def _diversity(rows: Sequence[Rows], category: NDArray[np.int64]) -> Probe:
    return _labelled(
        "diversity", rows, _quantiles(np.array([len(np.unique(category[items])) for items in rows]), bins=5)
    )


def _switches(rows: list[Rows], category: NDArray[np.int64]) -> Probe:
    shares = [np.mean(np.diff(category[items]) != 0) if len(items) > 1 else np.nan for items in rows]
    return _labelled("switches", rows, _quantiles(np.array(shares), bins=5))


def _length(rows: Sequence[Rows]) -> Probe:
    lengths = np.array([len(items) for items in rows])
    if np.median(lengths) < MIN_ITEMS:
        return _labelled("length", rows, _quantiles(lengths, bins=BINS))
    bins = (lengths - MIN_ITEMS) // ITEMS_PER_BIN
    return _labelled("length", rows, np.where((lengths >= MIN_ITEMS) & (bins < BINS), bins, -1))


def _content(rows: Sequence[Rows], counts: NDArray[np.int64]) -> Probe:
    """Labels a list with the one item of medium popularity that it contains; lists with none or several have no label."""
    frequent = np.flatnonzero(counts >= MIN_OCCURRENCES)
    middle = frequent[np.argsort(counts[frequent], kind="stable")]
    many = min(CONTENT_ITEMS, len(middle) // 10)  # few of a small catalogue, or hardly a list would contain exactly one
    start = (len(middle) - many) // 2
    item_class = np.full(len(counts), -1)
    item_class[middle[start : start + many]] = np.arange(many)
    labels = []
    for items in rows:
        classes = np.unique(item_class[items][item_class[items] >= 0])
        labels.append(int(classes[0]) if len(classes) == 1 else -1)
    return _labelled("content", rows, np.array(labels))


def _shuffled(rows: Sequence[Rows], generator: np.random.Generator) -> Probe:
    """Is a list in its original order (0) or shuffled (1)?"""
    originals = [(n, items) for n, items in enumerate(rows) if len(np.unique(items)) > 2]
    return _order("order, shuffled", originals, [generator.permutation(items) for _, items in originals])


def _swapped(rows: Sequence[Rows], generator: np.random.Generator) -> Probe:
    """Is a window of a list in its original order (0), or are two neighbours swapped (1)?"""
    windows = [
        (n, items[at : at + ITEMS_PER_WINDOW])
        for n, items in enumerate(rows)
        for at in range(0, len(items), ITEMS_PER_WINDOW)
    ]
    windows = [(n, window) for n, window in windows if len(window) > 4 and (np.diff(window) != 0).all()]
    changed = []
    for _, window in windows:
        at = int(generator.integers(len(window) - 1))
        swapped = window.copy()
        swapped[[at, at + 1]] = window[[at + 1, at]]
        changed.append(swapped)
    return _order("order, neighbours swapped", windows, changed)


def _order(name: str, originals: Sequence[tuple[int, Rows]], changed: Sequence[Rows]) -> Probe:
    owner = np.array([n for n, _ in originals] * 2, dtype=np.int64)
    labels = np.repeat([0, 1], len(originals)).astype(np.int64)
    return Probe(name, [*(items for _, items in originals), *changed], labels, owner)


def _labelled(name: str, rows: Sequence[Rows], labels: NDArray[np.int64]) -> Probe:
    """The probe of the lists that are not empty and have a label; -1 is none."""
    owner = np.flatnonzero((labels >= 0) & np.array([len(items) > 0 for items in rows]))
    return Probe(name, [rows[i] for i in owner.tolist()], labels[owner], owner)


def _largest(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The labels of the largest classes; -1 for all others."""
    values, counts = np.unique(labels[labels >= 0], return_counts=True)
    largest = values[np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]]
    return np.where(np.isin(labels, largest), labels, -1)


def _quantiles(values: NDArray[np.float64] | NDArray[np.int64], *, bins: int) -> NDArray[np.int64]:
    """The quantile bin of each value, -1 for nan. Equal values share a bin, so there may be fewer than `bins`."""
    real = ~np.isnan(values)
    if not real.any():
        return np.full(len(values), -1)
    edges = np.unique(np.quantile(values[real], np.linspace(0, 1, bins + 1)[1:-1]))
    return np.where(real, np.searchsorted(edges, values, side="left"), -1)


def _balanced(probe: Probe, generator: np.random.Generator) -> Probe:
    """Samples every class down to the smallest that is large enough; a list and its changed copy stay together."""
    values, counts = np.unique(probe.labels, return_counts=True)
    fewest = MIN_LISTS_PER_CLASS if len(values) < CONTENT_ITEMS // 2 else MIN_LISTS_PER_CLASS // 4
    values, counts = values[counts >= fewest], counts[counts >= fewest]
    if len(values) < 2:
        return Probe(probe.name, [], probe.labels[:0], probe.owner[:0])
    size = min(int(counts.min()), MAX_LISTS_PER_QUESTION // len(values))
    if probe.name.startswith("order"):
        half = len(probe.labels) // 2
        pairs = np.sort(generator.permutation(half)[:size])
        sample = np.concatenate([pairs, half + pairs])
    else:
        per_class = [generator.permutation(np.flatnonzero(probe.labels == value))[:size] for value in values]
        sample = np.sort(np.concatenate(per_class))
    labels = np.searchsorted(values, probe.labels[sample])
    return Probe(probe.name, [probe.lists[i] for i in sample], labels, probe.owner[sample])
