"""The state that answers, in step with the store.

One immutable snapshot holds the sources of the active bundle and the catalogue they speak of. Whatever is written, here or by
another process, replaces the snapshot; who took the old one works on it to the end.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from recsys.encoders.base import Vectors
from recsys.errors import BundleError
from recsys.indexes.build import Kind
from recsys.ranking.trial import check_answers
from recsys.service.state.background_rebuild import BackgroundRebuild
from recsys.service.state.background_sync import BackgroundSync
from recsys.service.state.hot_update import HotUpdate
from recsys.service.state.item_changes import (
    STORE_AWAY,
    publish,
    try_to_encode,
    with_encoded,
    with_some_encoded,
    with_texts,
    with_vectors,
    with_word_index,
    with_words,
)
from recsys.service.state.live_counts import LiveCounts
from recsys.service.state.loading import SnapshotLoader, warm_up
from recsys.service.state.snapshot import Snapshot
from recsys.service.state.text_backlog import TextBacklog
from recsys.store import Store
from recsys.store.records import Activation, Item

log = logging.getLogger(__name__)

TEXT_LAG = 2.0
"""Seconds after which encoded texts count in answers, at most. Each time all vectors are copied once."""
NO_BUNDLE = "no active bundle: run `recsys train blend`"


class LiveState:
    """The snapshot that answers. Any number of threads may read; writers take turns.

    What this process writes counts in the next answer. What others write follows in the background: items at the next poll, and
    their texts once they are encoded, within `text_lag` seconds after that. `update` follows the active bundle, once it is
    started. `store_unreachable` says that the store did not answer lately. `counts` has the live models.

    Raises (constructor):
        BundleError: the bundle named cannot be read.
        StoreError: the store does not answer.
    """

    def __init__(
        self,
        store: Store,
        *,
        counts: LiveCounts,
        bundle: str | None,
        device: str,
        text_index: Kind,
        indexes: Path | None,
        text_lag: float = TEXT_LAG,
    ) -> None:
        self._store, self._text_lag, self.counts = store, text_lag, counts
        self._loader = SnapshotLoader(store, device=device, text_index=text_index, indexes=indexes)
        self._writing = threading.RLock()
        self.store_unreachable = False
        self._rebuild = BackgroundRebuild(lambda: self.snapshot, self._exchange)
        self._backlog = TextBacklog(lag=text_lag)
        self._sync = BackgroundSync(self._follow)
        self._seen_version = store.changes()
        activation = None if bundle else store.activation()
        self.snapshot, _ = self._loader.with_stored_items(self._first_snapshot(bundle, activation))
        self.update = HotUpdate(store.activation, self._load, served=activation if self.snapshot.bundle else None)
        self._rebuild.start_if_due()

    def poll_changes(self) -> None:
        """Has what other processes wrote applied in the background, where the store was not asked lately."""
        self._sync.poke()

    def searching_snapshot(self) -> Snapshot:
        """The snapshot, which finds items by words, too: all texts are read for that once. While the store does not answer it
        is the one before."""
        if self.snapshot.words is None:
            try:
                with self._writing:
                    if self.snapshot.words is None:
                        self.snapshot = with_word_index(self.snapshot, self._store)
            except STORE_AWAY:
                self.store_unreachable = True
        return self.snapshot

    @contextmanager
    def writing(self, item_ids: Collection[str] = ()) -> Iterator[None]:
        """What is written to the store inside is part of every answer afterwards, `item_ids` by their texts, too. Nothing is
        applied when it fails."""
        with self._writing:
            yield
            self._apply(item_ids)
        if self._backlog.has_items:
            self._sync.start()

    @property
    def delays(self) -> tuple[str, ...]:
        """What of other processes does not count yet."""
        texts = len(self._backlog)
        return (
            (f"the texts of {texts:,} items written by other processes do not count yet: being encoded",)
            if texts
            else ()
        )

    def warm_up(self) -> None:
        """Loads and encodes now what the first question would wait for."""
        self.counts.follow()
        warm_up(self.searching_snapshot(), self._store)

    def wait_for_rebuilds(self) -> None:
        """Waits until indexes that are being renewed in the background are in their places."""
        self._rebuild.wait()

    def wait_for_changes(self) -> None:
        """Waits until all that other processes have written is part of the next answer."""
        self._sync.start()
        self._sync.wait()

    def close(self) -> None:
        """Stops following the store."""
        self.update.close()
        self._sync.close()

    def _first_snapshot(self, uri: str | None, activation: Activation | None) -> Snapshot:
        named = uri or (activation and activation.uri)
        try:
            return self._loader.load(named) if named else self._loader.without_bundle(NO_BUNDLE)
        except BundleError as error:
            if uri:  # asked for by name: say so at once
                raise
            return self._loader.without_bundle(str(error))

    def _load(self, uri: str) -> Callable[[], None]:
        """Loads the bundle at `uri` beside the one that answers; returns what swaps the two."""
        version = self._store.changes()
        snapshot = self._loader.load(uri)
        snapshot, waiting = self._loader.with_stored_items(snapshot, is_waiting=self._backlog.has)
        if self.snapshot.words is not None:
            snapshot = with_word_index(snapshot, self._store)
        warm_up(snapshot, self._store)
        check_answers(snapshot.items, snapshot.lists, size=len(snapshot.catalogue))
        return partial(self._swap, snapshot, waiting, version)

    def _swap(self, snapshot: Snapshot, waiting: Sequence[Item], version: int) -> None:
        """Has `snapshot` answer, which holds the items up to `version` apart from the texts of those `waiting`.

        What was written since is added first: what counted in answers before counts after, and what waited still waits.
        """
        snapshot, more = self._caught_up(snapshot, version)  # most of it, while writes go on
        histories = self.snapshot.histories.over(
            snapshot.catalogue.row, snapshot.signals, self.snapshot.catalogue.item_ids
        )
        with self._writing:
            self._apply()
            snapshot, last = self._caught_up(snapshot, version)
            self._backlog = TextBacklog(lag=self._text_lag)
            self._backlog.add([*waiting, *more, *last])
            self.snapshot = replace(snapshot, histories=histories)
            self._rebuild.start_if_due()
        if self._backlog.has_items:
            self._sync.start()

    def _caught_up(self, snapshot: Snapshot, version: int) -> tuple[Snapshot, list[Item]]:
        """The snapshot with items written since `version`; second those whose texts wait to be encoded."""
        items = self._store.items_since(version)
        changed = publish(snapshot, items)
        return with_some_encoded(with_words(snapshot, items), changed, is_waiting=self._backlog.has)

    def _exchange(self, change: Callable[[Snapshot], Snapshot]) -> None:
        with self._writing:
            self.snapshot = change(self.snapshot)

    def _follow(self) -> bool:
        """Applies what other processes wrote and encodes some of the texts; True while texts are left. Answers go on."""
        try:
            with self._writing:
                self._apply()
                texts, backlog = self.snapshot.texts, self._backlog
                items = backlog.first()
                self.snapshot = with_texts(self.snapshot, items)
            exits = try_to_encode(texts, items)  # takes long: others write meanwhile
            with self._writing:
                if backlog is self._backlog:  # else another bundle answers by now, which knows other vectors
                    self._note_encoded(items, exits)
            self.counts.verify()
            self.store_unreachable = False
        except STORE_AWAY:
            log.exception("changes of other processes were not read")
            self.store_unreachable = True
            return False
        return self._backlog.has_items

    def _note_encoded(self, items: Sequence[Item], exits: Mapping[int, Vectors]) -> None:
        """Gives the sources the vectors of `items`, at once or together with later ones."""
        self._backlog.encoded(items, exits)
        if (texts := self.snapshot.texts) and self._backlog.is_due:
            self.snapshot = with_vectors(self.snapshot, *self._backlog.take(texts.is_current))
            self._rebuild.start_if_due()

    def _apply(self, encode_now: Collection[str] = ()) -> None:
        """Makes everything that the store holds by now part of the next answer; texts of other items than `encode_now` follow.
        Writers take turns."""
        version = self._store.changes()
        if version != self._seen_version:
            if items := self._store.items_since(self._seen_version):
                changed, ours = publish(self.snapshot, items), set(encode_now)
                self.snapshot = with_words(self.snapshot, items)
                self.snapshot = with_encoded(self.snapshot, [item for item in changed if item.item_id in ours])
                self._backlog.add(item for item in changed if item.item_id not in ours)
                self._rebuild.start_if_due()
            self.snapshot.histories.invalidate()
            self._seen_version = version
