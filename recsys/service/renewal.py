"""New indexes in the background: built beside the snapshot, and put into it between two writes."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from recsys.indexes.renewal import aged, caught_up, renewed
from recsys.retrieval.inner import InnerProductSource
from recsys.service.snapshot import Snapshot

log = logging.getLogger(__name__)


class Renewal:
    """Renews aged indexes, one after the other in one thread; questions and writes go on meanwhile.

    `snapshot` gives what answers now; `exchange` puts what a function makes of it in its place while nothing is written.
    Who took a snapshot before keeps the old index to the end. A rebuild that fails leaves the old one in place.
    """

    def __init__(
        self, snapshot: Callable[[], Snapshot], exchange: Callable[[Callable[[Snapshot], Snapshot]], None]
    ) -> None:
        self._snapshot, self._exchange = snapshot, exchange
        self._thread: threading.Thread | None = None

    def start_if_due(self) -> None:
        """Begins where an index has aged and nothing is under way. Writers take turns to call it."""
        under_way = self._thread is not None and self._thread.is_alive()
        if not under_way and _aged(self._snapshot()):
            self._thread = threading.Thread(target=self._run, name="renewal", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Until what is under way, if anything, is done."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            for name in _aged(self._snapshot()):
                self._renew(name)
        except Exception:
            log.exception("an index was not renewed: the old one goes on")

    def _renew(self, name: str) -> None:
        before = self._snapshot()
        old = _inner(before)[name].index
        fresh = renewed(old, before.catalogue.active)

        def swapped(now: Snapshot) -> Snapshot:
            source = _inner(now)[name]
            index = caught_up(fresh, before=old, now=source.index)
            return replace(now, deployed=now.deployed.with_source(name, source.with_index(index)))

        self._exchange(swapped)


def _inner(snapshot: Snapshot) -> Mapping[str, InnerProductSource]:
    sources = snapshot.deployed.sources.items()
    return {name: source for name, source in sources if isinstance(source, InnerProductSource)}


def _aged(snapshot: Snapshot) -> list[str]:
    """Names of the sources whose index has aged."""
    shown = snapshot.catalogue.active
    return [name for name, source in _inner(snapshot).items() if aged(source.index, shown)]
