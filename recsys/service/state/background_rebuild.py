"""Rebuilds stale indexes in the background and swaps them into the snapshot between two writes."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from recsys.indexes.staleness import is_stale, rebuild, replay
from recsys.retrieval.serving import SearchedIndex
from recsys.service.state.catalogue import Catalogue
from recsys.service.state.snapshot import Snapshot

log = logging.getLogger(__name__)


class BackgroundRebuild:
    """Rebuilds stale indexes one after the other in one thread, while requests and writes go on.

    `snapshot` returns the current snapshot; `exchange` replaces it with a function of it while no write runs. A request keeps
    the snapshot that it started with. If a rebuild fails, the old index stays.
    """

    def __init__(
        self, snapshot: Callable[[], Snapshot], exchange: Callable[[Callable[[Snapshot], Snapshot]], None]
    ) -> None:
        self._snapshot, self._exchange = snapshot, exchange
        self._thread: threading.Thread | None = None

    def start_if_due(self) -> None:
        """Starts a rebuild if an index is stale and no rebuild runs. Only one thread may call it at a time."""
        is_running = self._thread is not None and self._thread.is_alive()
        if not is_running and _stale(self._snapshot()):
            self._thread = threading.Thread(target=self._run, name="rebuild", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Waits for the running rebuild, if any."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            before = self._snapshot()
            for key in _stale(before):
                self._rebuild(key, before.catalogue)
        except Exception:
            log.exception("an index was not rebuilt: the old one goes on")

    def _rebuild(self, key: SearchedIndex, catalogue: Catalogue) -> None:
        before = self._snapshot()
        if before.catalogue is not catalogue:  # another bundle answers by now
            return
        source = before.items.indexes()[key]
        old = source.index
        fresh = rebuild(old, before.catalogue.active, suits=source.target_index)

        def swapped(now: Snapshot) -> Snapshot:
            if now.catalogue is not catalogue:
                return now
            index = replay(fresh, before=old, now=now.items.indexes()[key].index)
            return replace(now, items=now.items.with_index(key, index))

        self._exchange(swapped)


def _stale(snapshot: Snapshot) -> list[SearchedIndex]:
    """The keys of the stale indexes."""
    active = snapshot.catalogue.active
    indexes = snapshot.items.indexes().items()
    return [key for key, source in indexes if is_stale(source.index, active, suits=source.target_index)]
