"""Counts of events and times of items as the store has them now: what `popular`, `trending` and `newest` rank by.

Read once whole, then only what is new: a question costs one look at the counter of changes, and a pass over the entries of the
windows after a write.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from cachetools import LRUCache

from recsys.data.history import Rows
from recsys.retrieval.live_models import Counts, LiveChoice, LiveModel, trend
from recsys.service.state.catalogue import Catalogue
from recsys.service.state.window_counts import HOUR, WindowCounts, bucket_of
from recsys.signals import NEUTRAL_RATING, SignalTable
from recsys.store import Store
from recsys.store.additions import CountedEvent, events_added, events_upto, items_added
from recsys.store.records import Event

LATE_NUMBERS = 256
"""So many of the last numbers are looked at again: on PostgreSQL an event may be committed after one with a higher number."""
CHECK_SECONDS, CHECK_SHARE = 5.0, 0.05
"""Pause between two checks for deleted events, and the largest share of the time that these may take."""
CACHED_MODELS = 16
ZERO = 1e-9
"""Weights that were added and taken out again may leave this much."""


class Counted:
    """Items by number, with their times of creation, and the counts of events up to a number. Not thread-safe."""

    def __init__(self, table: SignalTable) -> None:
        self._table = table
        self.number_of: dict[str, int] = {}
        self.created: list[float] = []
        self.counts = WindowCounts()
        self.events, self.last_number, self.version = 0, 0, -1
        self._last_numbers: set[int] = set()

    def catch_up(self, store: Store, *, now: float) -> bool:
        """Counts what is new in the store; False where nothing is."""
        version = store.changes()  # before the rest: a write in between shows at the next call
        if version == self.version:
            return False
        self._add_items(store)
        for page in events_added(store, after=self.last_number - LATE_NUMBERS):
            if any(event.item_id not in self.number_of for event in page):  # stored since the items were read
                self._add_items(store)
            self._add([event for event in page if event.number not in self._last_numbers], now=now)
        self.version = version
        return True

    def remove(self, events: Sequence[Event], *, now: float) -> None:
        """Takes events out of the counts that were deleted from the store."""
        counted = [event for event in events if event.number <= self.last_number]
        self._count(counted, now=now, sign=-1)

    def _add_items(self, store: Store) -> None:
        for item_id, created in items_added(store, since=self.version):
            if self.number_of.setdefault(item_id, len(self.created)) == len(self.created):
                self.created.append(created)

    def _add(self, page: Sequence[CountedEvent], *, now: float) -> None:
        if not page:
            return
        self._count(page, now=now)
        self.last_number = max(self.last_number, page[-1].number)
        late = self.last_number - LATE_NUMBERS
        numbers = {event.number for event in page[-LATE_NUMBERS:]}
        self._last_numbers = {number for number in self._last_numbers | numbers if number > late}

    def _count(self, events: "Sequence[CountedEvent] | Sequence[Event]", *, now: float, sign: int = 1) -> None:
        """Each event by itself: as the settings weigh it, and not at all where it speaks against its item."""
        self.events += sign * len(events)
        items = np.array([self.number_of[event.item_id] for event in events], dtype=np.int64)
        at = np.array([np.nan if event.at is None else event.at for event in events], dtype=np.float64)
        weights, _ = self._table.values(
            [event.kind for event in events],
            np.array([event.weight for event in events], dtype=np.float64),
            np.arange(len(events)),
            mean_rating=NEUTRAL_RATING,
        )
        speaks = weights > 0
        self.counts.add(items[speaks], at[speaks], weights[speaks], now=now, sign=sign)


class LiveCounts:
    """The live models over `store`, where events count by `table`. Thread-safe; nothing is read before the first question."""

    def __init__(self, store: Store, table: SignalTable) -> None:
        self._store, self._table = store, table
        self._lock = threading.RLock()
        self._counted: Counted | None = None
        self._models: LRUCache[tuple[LiveChoice, int], tuple[Catalogue, int, LiveModel]] = LRUCache(CACHED_MODELS)
        self._rows: tuple[Catalogue | None, Rows] = (None, np.zeros(0, dtype=np.int64))
        self._checked_version, self._next_check = -1, 0.0

    @property
    def loaded(self) -> bool:
        return self._counted is not None

    def follow(self) -> None:
        """Counts what the store has by now.

        Raises:
            StoreError: the store does not answer; the counts stay as they were.
        """
        with self._lock:
            counted = self._counted or Counted(self._table)
            if counted.catch_up(self._store, now=time.time()):
                self._models.clear()
            self._counted = counted

    def model(self, choice: LiveChoice, catalogue: Catalogue) -> LiveModel:
        """The rows of `catalogue` as the model ranks them; items without anything that counts for them are left out."""
        now, width = time.time(), len(catalogue)
        key = choice, bucket_of(now)
        with self._lock:
            of, size, model = self._models.get(key, (None, 0, None))
            if model is None or of is not catalogue or size != width:
                items, scores = self._ranked(choice, now=now)
                rows = self._rows_in(catalogue)[items]
                model = LiveModel(choice.model, rows[rows >= 0], scores[rows >= 0].astype(np.float32))
                self._models[key] = catalogue, width, model
        return model

    @contextmanager
    def deleting(self, find: Callable[[], Sequence[Event]]) -> Iterator[None]:
        """Takes the events that `find` gives out of the counts, once what deletes them inside has succeeded."""
        events: Sequence[Event] = ()
        if self.loaded:
            self.follow()  # else those of them that are not counted yet would be taken out
            events = find()
        yield
        with self._lock:
            if events and self._counted:
                self._counted.remove(events, now=time.time())
                self._models.clear()

    def verify(self) -> None:
        """Counts anew, where other processes deleted events. Takes long; meanwhile the counts stay as they were."""
        counted = self._counted
        if counted is None or counted.version == self._checked_version or time.monotonic() < self._next_check:
            return
        started, self._checked_version = time.monotonic(), counted.version
        if not (self._is_complete() or self._is_complete()):  # late events are counted by the second look
            fresh = Counted(self._table)
            fresh.catch_up(self._store, now=time.time())
            with self._lock:
                self._counted, self._rows = fresh, (None, self._rows[1])
                self._models.clear()
        seconds = time.monotonic() - started
        self._next_check = time.monotonic() + max(CHECK_SECONDS, seconds / CHECK_SHARE)

    def _is_complete(self) -> bool:
        self.follow()
        with self._lock:
            assert self._counted is not None
            events, last = self._counted.events, self._counted.last_number
        return events_upto(self._store, last) == events

    def _ranked(self, choice: LiveChoice, *, now: float) -> tuple[Rows, Counts]:
        """(numbers of items, scores), best first; of equals the item that came first, among the newest the one that came last."""
        assert self._counted is not None
        counts = self._counted.counts
        if choice.model == "newest":
            created = np.array(self._counted.created)
            first = -np.inf if choice.hours is None else now - choice.hours * HOUR
            items = np.flatnonzero(created >= first)[::-1]
            items = items[np.argsort(-created[items], kind="stable")]
            return items, (created[items] - now) / HOUR
        if choice.model == "trending":
            assert choice.hours is not None
            events, before = counts.events_within(choice.hours, now=now)
            scores = np.where(events > 0, trend(events, before), 0)
        else:
            scores = counts.weights_within(choice.hours, now=now)
        items = np.flatnonzero(scores > ZERO)
        items = items[np.argsort(-scores[items], kind="stable")]
        return items, scores[items]

    def _rows_in(self, catalogue: Catalogue) -> Rows:
        """The row of each item by its number; -1 where the catalogue does not have it yet."""
        assert self._counted is not None
        of, rows = self._rows
        if of is not catalogue:
            rows = np.zeros(0, dtype=np.int64)
        elif len(rows) == len(self._counted.created) and (rows >= 0).all():
            return rows
        ids = list(self._counted.number_of)
        rows = np.append(rows, np.full(len(ids) - len(rows), -1))
        for number in np.flatnonzero(rows < 0).tolist():
            row = catalogue.row(ids[number])
            rows[number] = -1 if row is None else row
        self._rows = catalogue, rows
        return rows
