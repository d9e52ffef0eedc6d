"""The state that answers, in step with the store.

One immutable snapshot holds the sources of the active bundle and the catalogue they speak of. Whatever is written, here or by
another process, replaces the snapshot; who took the old one works on it to the end.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from recsys.bundle_io import load_bundle
from recsys.errors import BundleError, StoreError
from recsys.indexes.build import Kind
from recsys.retrieval.lists.serving import list_serving_model
from recsys.retrieval.popular import POPULAR
from recsys.retrieval.serving import ServingModel, popular_only, serving_model
from recsys.service.items.questions import MAX_HISTORY
from recsys.service.state.background_rebuild import BackgroundRebuild
from recsys.service.state.catalogue import Catalogue
from recsys.service.state.history_cache import HistoryCache
from recsys.service.state.snapshot import NO_LISTS, Snapshot
from recsys.service.state.text_service import TextService
from recsys.store import Store
from recsys.store.records import Item

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
"""Seconds after which the store is asked again whether another process wrote something."""


class LiveState:
    """The snapshot, the histories and the text service behind it. Any number of threads may read; writers take turns.

    `texts` is None while no bundle answers; `store_unreachable` says that the store did not answer lately.

    Raises (constructor):
        BundleError: the bundle named cannot be read.
        StoreError: the store does not answer.
    """

    def __init__(
        self, store: Store, *, bundle: str | None, device: str, text_index: Kind, indexes: Path | None
    ) -> None:
        self._store, self._device, self._text_index, self._indexes = store, device, text_index, indexes
        self._writing = threading.RLock()
        self._problems: tuple[str, ...] = ()
        self.store_unreachable = False
        self._rebuild = BackgroundRebuild(lambda: self.snapshot, self._exchange)
        self._seen_version, self.next_poll = store.changes(), 0.0
        self.texts: TextService | None = None
        self.snapshot = self._load(bundle)
        self._add_stored_items()
        self._rebuild.start_if_due()
        self.histories = HistoryCache(store, self.snapshot.catalogue.row, limit=MAX_HISTORY)

    def poll_changes(self) -> None:
        """Applies what other processes wrote, where the store was not asked lately. While it is applied, others go on."""
        if time.monotonic() < self.next_poll or not self._writing.acquire(blocking=False):
            return
        try:
            self._apply()
            self.store_unreachable = False
        except StoreError:
            log.exception("changes of other processes were not read")
            self.store_unreachable = True
        finally:
            self.next_poll = time.monotonic() + POLL_SECONDS
            self._writing.release()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """What is written to the store inside is part of every answer afterwards. Nothing is applied when it fails."""
        with self._writing:
            yield
            self._apply()

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

    def _exchange(self, change: Callable[[Snapshot], Snapshot]) -> None:
        with self._writing:
            self.snapshot = change(self.snapshot)

    def _apply(self) -> None:
        """Makes everything that the store holds by now part of the next answer. Writers take turns."""
        version = self._store.changes()
        if version != self._seen_version:
            if items := self._store.items_since(self._seen_version):
                self._encode(self._publish(items))
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
        if self.texts and items:
            live = self.snapshot
            try:
                exits = self.texts.encode_changed(items)
            except StoreError:
                raise
            except Exception:  # whatever a text encoder makes of one text: all else goes on
                log.exception("texts of %d items cannot be read, %s the first", len(items), items[0].item_id)
                return
            if exits:
                rows = live.catalogue.rows(item.item_id for item in items)
                lists = live.lists.with_items(rows, exits[max(exits)])
                self.snapshot = replace(live, items=live.items.with_items(rows, exits), lists=lists)
