"""Caches the histories of stored users in memory until they have new events."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from cachetools import LRUCache

from recsys.data.feedback import Signals
from recsys.data.history import NO_ROWS, History
from recsys.store import Store

EVENTS = 400_000
"""Capacity in events, enough for some thousand users; each user counts as `USER` more, for the vectors that encoders cache."""
USER = 60
STALE = -1
"""For `validated_at`: before any invalidation."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A cached history: `version` is the store's mark of the user's events from before they were loaded, `complete` says whether
    every event had a row, `validated_at` is the number of invalidations when the store last confirmed the version."""

    history: History
    version: tuple[int, int]
    complete: bool
    validated_at: int


class HistoryCache:
    """The last `limit` events of each user as a history of rows; `row` maps an item id to its row, `signals` says how events are
    counted. Thread-safe.

    After `invalidate`, a cached history is used only if the store's version of the user's events is unchanged. If some events
    had no row, the history is loaded again, since their items may exist by now.
    """

    def __init__(
        self,
        store: Store,
        row: Callable[[str], int | None],
        signals: Signals,
        *,
        limit: int,
        events: int = EVENTS,
    ) -> None:
        self._store, self._row, self.signals, self._limit = store, row, signals, limit
        self._entries: LRUCache[str, _Entry] = LRUCache(events, getsizeof=lambda entry: len(entry.history) + USER)
        self._lock = threading.Lock()
        self._invalidations = 0

    def over(self, row: Callable[[str], int | None], signals: Signals, item_ids: Sequence[str]) -> "HistoryCache":
        """A cache for another catalogue with these histories: `item_ids` are those of the present rows. Each is validated
        before its next use, and loaded again where events count otherwise now."""
        with self._lock:
            entries = list(self._entries.items())
        rows = np.array([-1 if (number := row(item_id)) is None else number for item_id in item_ids], dtype=np.int64)
        other = HistoryCache(self._store, row, signals, limit=self._limit, events=int(self._entries.maxsize))
        for user_id, entry in entries:
            moved, rejected = rows[entry.history.rows], rows[entry.history.rejected]
            known = moved >= 0
            history = replace(entry.history, rows=moved, rejected=rejected[rejected >= 0]).select(known)
            complete = entry.complete and signals == self.signals and bool(known.all())
            other._entries[user_id] = _Entry(history, entry.version, complete, STALE)
        return other

    def invalidate(self) -> None:
        """Has every history validated before its next use; to be called after each write."""
        with self._lock:
            self._invalidations += 1

    def get(self, user_id: str) -> History:
        """The user's history, oldest event first; empty for an unknown one."""
        with self._lock:
            invalidations, entry = self._invalidations, self._entries.get(user_id)
        if entry and entry.validated_at == invalidations:
            return entry.history
        version = self._store.events_mark(user_id)  # before the events: a write in between shows at the next call
        if entry and entry.complete and entry.version == version:
            history, complete = entry.history, True
        else:
            history, complete = self._load(user_id)
        with self._lock:
            if len(history) + USER <= self._entries.maxsize:
                self._entries[user_id] = _Entry(history, version, complete, invalidations)
        return history

    def last_known(self, user_id: str) -> History:
        """The cached history, which may lack later events; empty where none is cached. The store is not asked."""
        with self._lock:
            entry = self._entries.get(user_id)
        return entry.history if entry else History.undated(NO_ROWS)

    def forget(self, user_id: str) -> None:
        with self._lock:
            self._entries.pop(user_id, None)
            self._invalidations += 1

    def load_many(self, user_ids: Sequence[str]) -> list[History]:
        """Loads the histories of a chunk of the users, in ascending order, from the store; caches nothing."""
        events = self._store.histories(user_ids, limit=self._limit)
        return [self.signals.history(events.get(user_id, ()), self._row) for user_id in user_ids]

    def load(self, user_id: str) -> History:
        """Loads the user's history from the store; caches nothing."""
        return self._load(user_id)[0]

    def _load(self, user_id: str) -> tuple[History, bool]:
        """(the history, whether each of its events has a row)."""
        events = self._store.recent_events(user_id, limit=self._limit)
        complete = all(self._row(event.item_id) is not None for event in events)
        return self.signals.history(events, self._row), complete
