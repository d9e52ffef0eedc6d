"""The state that answers, in step with the store.

One immutable snapshot holds the sources of the active bundle and the catalogue they speak of. Whatever is written, here or by
another process, replaces the snapshot; who took the old one works on it to the end.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from recsys.bundle_io import load_bundle
from recsys.encoders.base import Vectors
from recsys.errors import BundleError, Busy, StoreError
from recsys.indexes.build import Kind
from recsys.ranking.trial import check_answers
from recsys.retrieval.lists.serving import list_serving_model
from recsys.retrieval.popular import POPULAR
from recsys.retrieval.serving import ServingModel, popular_only, serving_model
from recsys.service.items.questions import MAX_HISTORY
from recsys.service.state.background_rebuild import BackgroundRebuild
from recsys.service.state.background_sync import BackgroundSync
from recsys.service.state.catalogue import Catalogue
from recsys.service.state.history_cache import HistoryCache
from recsys.service.state.snapshot import NO_LISTS, Snapshot
from recsys.service.state.text_backlog import TextBacklog
from recsys.service.state.text_service import TextService
from recsys.store import Store
from recsys.store.records import Item

log = logging.getLogger(__name__)

STORE_AWAY = (StoreError, Busy)
"""What is tried again later."""
TEXT_LAG = 2.0
"""Seconds after which encoded texts count in answers, at most. Each time all vectors are copied once."""


class LiveState:
    """The snapshot, the histories and the text service behind it. Any number of threads may read; writers take turns.

    What this process writes counts in the next answer. What others write follows in the background: items at the next poll, and
    their texts once they are encoded, within `text_lag` seconds after that.

    `texts` is None while no bundle answers; `store_unreachable` says that the store did not answer lately.

    Raises (constructor):
        BundleError: the bundle named cannot be read.
        StoreError: the store does not answer.
    """

    def __init__(
        self,
        store: Store,
        *,
        bundle: str | None,
        device: str,
        text_index: Kind,
        indexes: Path | None,
        text_lag: float = TEXT_LAG,
    ) -> None:
        self._store, self._device, self._text_index, self._indexes = store, device, text_index, indexes
        self._writing = threading.RLock()
        self._problems: tuple[str, ...] = ()
        self.store_unreachable = False
        self._rebuild = BackgroundRebuild(lambda: self.snapshot, self._exchange)
        self._backlog = TextBacklog(lag=text_lag)
        self._sync = BackgroundSync(self._follow)
        self._seen_version = store.changes()
        self.texts: TextService | None = None
        self.snapshot = self._load(bundle)
        self._add_stored_items()
        self._rebuild.start_if_due()
        self.histories = HistoryCache(
            store, self.snapshot.catalogue.row, lambda: self.snapshot.signals, limit=MAX_HISTORY
        )

    def poll_changes(self) -> None:
        """Has what other processes wrote applied in the background, where the store was not asked lately."""
        self._sync.poke()

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

    @property
    def problems(self) -> tuple[str, ...]:
        """Why no bundle answers, or what of it cannot be used."""
        return self._problems + (self.texts.problems if self.texts else ())

    def warm_up(self) -> None:
        """Loads the text encoder now, so that the first new item, or the first text asked for, does not wait for it."""
        if self.texts and (encoder := self.texts.encoder()):
            encoder.encode_documents(["warm"])

    def wait_for_rebuilds(self) -> None:
        """Waits until indexes that are being renewed in the background are in their places."""
        self._rebuild.wait()

    def wait_for_changes(self) -> None:
        """Waits until all that other processes have written is part of the next answer."""
        self._sync.start()
        self._sync.wait()

    def close(self) -> None:
        """Stops following the store."""
        self._sync.close()

    def _exchange(self, change: Callable[[Snapshot], Snapshot]) -> None:
        with self._writing:
            self.snapshot = change(self.snapshot)

    def _follow(self) -> bool:
        """Applies what other processes wrote and encodes some of the texts; True while texts are left. Answers go on."""
        try:
            with self._writing:
                self._apply()
                items = self._backlog.first()
            exits = self._try_to_encode(items)  # takes long: others write meanwhile
            with self._writing:
                self._backlog.encoded(items, exits)
                if self.texts and self._backlog.is_due:
                    self._take_in(*self._backlog.take(self.texts.is_current))
                    self._rebuild.start_if_due()
            self.store_unreachable = False
        except STORE_AWAY:
            log.exception("changes of other processes were not read")
            self.store_unreachable = True
            return False
        return self._backlog.has_items

    def _apply(self, encode_now: Collection[str] = ()) -> None:
        """Makes everything that the store holds by now part of the next answer; texts of other items than `encode_now` follow.
        Writers take turns."""
        version = self._store.changes()
        if version != self._seen_version:
            if items := self._store.items_since(self._seen_version):
                changed, ours = self._publish(items), set(encode_now)
                self._encode([item for item in changed if item.item_id in ours])
                self._backlog.add(item for item in changed if item.item_id not in ours)
                self._rebuild.start_if_due()
            self.histories.invalidate()
            self._seen_version = version

    def _load(self, uri: str | None) -> Snapshot:
        record = None if uri else self._store.active_bundle()
        try:
            if named := uri or (record and record.uri):
                return self._load_bundle(named)
            self._problems = ("no active bundle: run `recsys train blend`, then restart",)
        except BundleError as error:
            if uri:  # asked for by name: say so at once
                raise
            self._problems = (str(error),)
        item_ids = tuple(item.item_id for page in self._store.items() for item in page)
        return Snapshot(self._popular(item_ids), NO_LISTS, Catalogue(item_ids), None)

    def _load_bundle(self, uri: str) -> Snapshot:
        bundle = load_bundle(uri)
        snapshot = Snapshot(serving_model(bundle), list_serving_model(bundle), Catalogue(bundle.item_ids), bundle)
        check_answers(snapshot.items, snapshot.lists, size=len(bundle.item_ids))
        if not snapshot.recommends:
            self._problems = (f"{bundle.uri} has parts for lists alone: `recsys train blend` has some for items",)
            snapshot = replace(snapshot, items=self._popular(bundle.item_ids))
        elif POPULAR not in snapshot.items.sources:  # which stands in where the others find nothing
            popular = self._popular(bundle.item_ids).sources[POPULAR]
            snapshot = replace(snapshot, items=snapshot.items.with_source(POPULAR, popular))
        self.texts = TextService(
            self._store,
            bundle,
            snapshot.text_encoders,
            device=self._device,
            text_index=self._text_index,
            indexes=self._indexes,
        )
        return snapshot

    def _popular(self, item_ids: Sequence[str]) -> ServingModel:
        """What stands in for a part that recommends."""
        counts = self._store.item_counts()
        return popular_only(np.array([counts.get(item_id, 0) for item_id in item_ids], dtype=np.int64))

    def _add_stored_items(self) -> None:
        """All items of the store, and by their texts those that are new since the training."""
        changed = [item for page in self._store.items() for item in self._publish(page)]
        if self.texts:
            self._encode(changed)
            items = self.texts.with_vectors(self.snapshot.items, self.snapshot.catalogue)
            self.snapshot = replace(self.snapshot, items=items)

    def _publish(self, items: Sequence[Item]) -> list[Item]:
        """Makes stored items, new or changed, part of the next answer. Gives those whose text the sources do not know yet."""
        catalogue = self.snapshot.catalogue
        active = [item for item in items if item.active]
        catalogue.upsert([(item.item_id, item.title, item.domain) for item in active])
        catalogue.delete([item.item_id for item in items if not item.active])
        return self.texts.changed_items(active, catalogue) if self.texts else []

    def _encode(self, items: Sequence[Item]) -> None:
        """Gives the sources the texts of `items`."""
        try:
            self._take_in(items, self._try_to_encode(items))
        except STORE_AWAY:  # they are read again with the next poll
            if self.texts:
                self.texts.forget(items)
            raise

    def _try_to_encode(self, items: Sequence[Item]) -> Mapping[int, Vectors]:
        """The texts of `items` after each exit of the encoder; nothing where that fails, or there is no encoder."""
        try:
            return self.texts.encode(items) if self.texts else {}
        except STORE_AWAY:
            raise
        except Exception:  # whatever a text encoder makes of one text: all else goes on
            log.exception("texts of %d items cannot be read, %s the first", len(items), items[0].item_id)
            if self.texts:
                self.texts.forget(items)
            return {}

    def _take_in(self, items: Sequence[Item], exits: Mapping[int, Vectors]) -> None:
        """Gives the sources the vectors of `items` by exit, if there are any."""
        if not exits or not self.texts:
            return
        live = self.snapshot
        rows = live.catalogue.rows(item.item_id for item in items)
        known = self.texts.to_take_in(rows, live.items.item_text_vectors)
        rows, exits = rows[known], {layers: vectors[known] for layers, vectors in exits.items()}
        if not len(rows):
            return
        lists = live.lists.with_items(rows, exits[max(exits)])
        self.snapshot = replace(live, items=live.items.with_items(rows, exits), lists=lists)
