"""New indexes in the background: built beside the snapshot, and put into it between two writes."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from recsys.indexes.staleness import is_stale, rebuild, replay
from recsys.retrieval.dense import DenseSource
from recsys.retrieval.item_text import ItemTextSource
from recsys.retrieval.truncation import Truncation
from recsys.service.state.snapshot import Snapshot

log = logging.getLogger(__name__)

Place = tuple[str, Truncation | None]
"""A source by its name, and at which of its sizes, where it has several."""


class BackgroundRebuild:
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
            for place in _aged(self._snapshot()):
                self._renew(place)
        except Exception:
            log.exception("an index was not renewed: the old one goes on")

    def _renew(self, place: Place) -> None:
        before = self._snapshot()
        source = _searched(before)[place]
        old, (name, size) = source.index, place
        fresh = rebuild(old, before.catalogue.active, suits=source.suits)

        def swapped(now: Snapshot) -> Snapshot:
            index = replay(fresh, before=old, now=_searched(now)[place].index)
            return replace(now, deployed=now.deployed.with_index(name, size, index))

        self._exchange(swapped)


def _searched(snapshot: Snapshot) -> Mapping[Place, DenseSource]:
    """All that has an index; a source of several sizes has one at each."""
    found = dict[Place, DenseSource]()
    for name, source in snapshot.deployed.sources.items():
        if isinstance(source, DenseSource):
            found[name, None] = source
        elif isinstance(source, ItemTextSource):
            found |= {(name, size): source.at(size) for size in source.sizes.served}
    return found


def _aged(snapshot: Snapshot) -> list[Place]:
    """Where an index has aged."""
    shown = snapshot.catalogue.active
    sources = _searched(snapshot).items()
    return [place for place, source in sources if is_stale(source.index, shown, suits=source.suits)]
