"""Events of each item, summed over windows that end now."""

from typing import Literal

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from recsys.retrieval.live_models import MAX_HOURS, Counts

HOUR = 3600.0
BUCKET_SECONDS = 600.0
"""Events of one item in so many seconds are one entry: windows are exact to this."""
BUCKETS_PER_HOUR = int(HOUR / BUCKET_SECONDS)
FUTURE_HOURS = 24
"""Events may be dated so far ahead, for clocks differ."""
FIRST_CAPACITY = 1024
CACHED_SUMS = 32

Window = tuple[str, int, int]
"""What is summed, from which bucket to before which."""


def bucket_of(seconds: float) -> int:
    """The number of the bucket that holds a time."""
    return int(seconds // BUCKET_SECONDS)


class WindowCounts:
    """Sums of weights and numbers of events by item: `total` of all time, and entries by bucket for two windows of the longest.

    Memory follows the items with events in these windows, never the time that passes.
    """

    def __init__(self) -> None:
        self.total: Counts = np.zeros(0)
        self._size = 0
        self._buckets = np.zeros(FIRST_CAPACITY, dtype=np.int32)
        self._items = np.zeros(FIRST_CAPACITY, dtype=np.int32)
        self._weights = np.zeros(FIRST_CAPACITY, dtype=np.float64)
        self._events = np.zeros(FIRST_CAPACITY, dtype=np.int32)
        self._sums: LRUCache[Window, tuple[Counts, int]] = LRUCache(CACHED_SUMS)

    def add(
        self, items: NDArray[np.int64], at: NDArray[np.float64], weights: Counts, *, now: float, sign: int = 1
    ) -> None:
        """Counts one event for each of `items` (numbers from 0), or takes it out again with a `sign` of -1. An `at` of NaN is
        undated, and counts in `total` alone."""
        width = int(items.max(initial=-1)) + 1
        if width > len(self.total):
            self.total = np.pad(self.total, (0, width - len(self.total)))
        np.add.at(self.total, items, sign * weights)
        dated = at >= (_first_bucket(now) * BUCKET_SECONDS)  # not NaN
        self._reserve(int(dated.sum()), now=now)
        end = self._size + int(dated.sum())
        entries = slice(self._size, end)
        self._buckets[entries] = np.minimum(at[dated] // BUCKET_SECONDS, np.iinfo(np.int32).max)
        self._items[entries], self._weights[entries] = items[dated], sign * weights[dated]
        self._events[entries], self._size = sign, end

    def weights_within(self, hours: int | None, *, now: float) -> Counts:
        """(items,): sums of weights in the last `hours`; None: of all time."""
        if hours is None:
            return self.total
        return self._sum("weights", bucket_of(now - hours * HOUR), _end_bucket(now))

    def events_within(self, hours: int, *, now: float) -> tuple[Counts, Counts]:
        """Numbers of events (items,) in the last `hours`, and in as many hours before them."""
        start = bucket_of(now - hours * HOUR)
        before = self._sum("events", start - hours * BUCKETS_PER_HOUR, start)
        return self._sum("events", start, _end_bucket(now)), before

    def _sum(self, what: Literal["weights", "events"], first: int, end: int) -> Counts:
        """(items,): sums over the buckets from `first` to before `end`: those of the last call, with the entries since."""
        sums, size = self._sums.get((what, first, end), (np.zeros(0), 0))
        new, width = slice(size, self._size), len(self.total)
        inside = (self._buckets[new] >= first) & (self._buckets[new] < end)
        values = (self._weights if what == "weights" else self._events)[new][inside]
        sums = np.pad(sums, (0, width - len(sums))) + np.bincount(self._items[new][inside], values, minlength=width)
        self._sums[what, first, end] = sums, self._size
        return sums

    def _reserve(self, count: int, *, now: float) -> None:
        """Makes room for `count` entries: old ones are dropped and equal ones added up before the arrays grow."""
        if self._size + count <= len(self._buckets):
            return
        self._compact(first=_first_bucket(now))
        if 2 * (self._size + count) > len(self._buckets):  # else this would be done again soon
            more = (0, 2 * (self._size + count) - len(self._buckets))
            self._buckets, self._items = np.pad(self._buckets, more), np.pad(self._items, more)
            self._weights, self._events = np.pad(self._weights, more), np.pad(self._events, more)

    def _compact(self, *, first: int) -> None:
        recent = np.flatnonzero(self._buckets[: self._size] >= first)
        keys = self._buckets[recent].astype(np.int64) * len(self.total) + self._items[recent]
        entries, entry = np.unique(keys, return_inverse=True)
        weights = np.bincount(entry, weights=self._weights[recent], minlength=len(entries))
        events = np.bincount(entry, weights=self._events[recent], minlength=len(entries))
        self._size = len(entries)
        self._sums.clear()
        self._buckets[: self._size], self._items[: self._size] = np.divmod(entries, max(len(self.total), 1))
        self._weights[: self._size], self._events[: self._size] = weights, events


def _first_bucket(now: float) -> int:
    """The oldest bucket that a window, or the one before it, needs."""
    return bucket_of(now - 2 * MAX_HOURS * HOUR) - 1


def _end_bucket(now: float) -> int:
    """The first bucket that is too far ahead."""
    return bucket_of(now + FUTURE_HOURS * HOUR) + 1
