"""Histories of stored users, kept in memory while nothing new happened to them."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cachetools import LRUCache

from recsys.data.history import History, history_of, history_of_pairs
from recsys.store import Store

EVENTS = 400_000
"""Events kept in all, those of some thousand users; a user counts as `USER` more, for the vectors that encoders keep beside."""
USER = 60


@dataclass(frozen=True, slots=True)
class _Kept:
    """`mark` is what the store said of the user's events before they were read, `checked` when that was last known to hold."""

    history: History
    mark: tuple[int, int]
    whole: bool
    checked: int


class HistoryCache:
    """The last `limit` events of users as histories over `row`. Any number of threads may ask.

    After `invalidate`, a history is used again only once the store says that the user's events are still the same ones. One
    with events of items that had no row is then read anew: the items may have come since.
    """

    def __init__(self, store: Store, row: Callable[[str], int | None], *, limit: int, events: int = EVENTS) -> None:
        self._store, self._row, self._limit = store, row, limit
        self._kept: LRUCache[str, _Kept] = LRUCache(events, getsizeof=lambda kept: len(kept.history) + USER)
        self._lock = threading.Lock()
        self._doubts = 0

    def invalidate(self) -> None:
        """Something was written: nothing is taken for granted any more."""
        with self._lock:
            self._doubts += 1

    def get(self, user_id: str) -> History:
        """The user's history, oldest event first; empty for an unknown one."""
        with self._lock:
            doubts, kept = self._doubts, self._kept.get(user_id)
        if kept and kept.checked == doubts:
            return kept.history
        mark = self._store.events_mark(user_id)  # before the events: what comes in between is found out the next time
        if kept and kept.whole and kept.mark == mark:
            history, whole = kept.history, True
        else:
            history, whole = self.read(user_id)
        with self._lock:
            if len(history) + USER <= self._kept.maxsize:
                self._kept[user_id] = _Kept(history, mark, whole, doubts)
        return history

    def read_many(self, user_ids: Sequence[str]) -> list[History]:
        """The histories of a piece of the users in ascending order, as the store has them now; nothing is kept."""
        held = self._store.histories(user_ids, limit=self._limit)
        return [history_of_pairs(held.get(user_id, ()), self._row) for user_id in user_ids]

    def read(self, user_id: str) -> tuple[History, bool]:
        """The user's history as the store has it now, and whether each of its events has a row."""
        events = self._store.recent_events(user_id, limit=self._limit)
        history = history_of(events, self._row)
        return history, len(history) == len(events)
