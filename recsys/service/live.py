"""What answers at this moment, kept in step with the store.

One immutable snapshot holds the sources of the active bundle and the catalogue they speak of. Whatever is written, here or by
another process, replaces the snapshot; who took the old one works on it to the end.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from features.text import item_text
from models.errors import ConfigError
from recsys.bundle import Bundle, load_bundle
from recsys.data.catalogue import Catalogue
from recsys.data.item_text import ItemTextEncoder, carried
from recsys.data.kept import KeptHistories
from recsys.data.texts import TextEncoder, stored_vectors, text_encoder, text_hash
from recsys.errors import BundleError, StoreError
from recsys.retrieval.deployed import Deployed, deploy, popular_only
from recsys.service.questions import MAX_HISTORY
from recsys.store import Store
from recsys.store.records import Item

log = logging.getLogger(__name__)

EVERY = 0.2
"""Seconds after which the store is asked again whether another process wrote something."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one request works on from its first line to its last."""

    deployed: Deployed
    catalogue: Catalogue
    bundle: Bundle | None


class Live:
    """The snapshot, the histories and the text encoders behind it. Any number of threads may read; writers take turns.

    `trouble` says why no bundle answers, or what of it cannot be used; `away` that the store did not answer lately.

    Raises (constructor):
        BundleError: the bundle named cannot be read.
        StoreError: the store does not answer.
    """

    def __init__(self, store: Store, *, bundle: str | None, device: str) -> None:
        self._store, self._device = store, device
        self._writing = threading.RLock()
        self._encoders: dict[str, TextEncoder | None] = {}
        self.trouble: tuple[str, ...] = ()
        self.away = False
        self._counted, self.due = store.changes(), 0.0
        self.snapshot = self._load(bundle)
        for page in store.items():
            self._publish(page)
        self.histories = KeptHistories(store, self.snapshot.catalogue.row, limit=MAX_HISTORY)

    def follow(self) -> None:
        """Applies what other processes wrote, where the store was not asked lately. While it is applied, others go on."""
        if time.monotonic() < self.due or not self._writing.acquire(blocking=False):
            return
        try:
            self._apply()
            self.away = False
        except StoreError:
            log.exception("changes of other processes were not read")
            self.away = True
        finally:
            self.due = time.monotonic() + EVERY
            self._writing.release()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """What is written to the store inside is part of every answer afterwards. Nothing is applied when it fails."""
        with self._writing:
            yield
            self._apply()

    def warm_up(self) -> None:
        """Loads the text encoders now, so that the first new item does not wait for them."""
        for name in self.snapshot.deployed.text_encoders:
            if encoder := self._encoder(name):
                encoder.encode(["warm"])

    def _apply(self) -> None:
        """Makes everything that the store holds by now part of the next answer. Writers take turns."""
        counted = self._store.changes()
        if counted != self._counted:
            if items := self._store.items_since(self._counted):
                self._publish(items)
            self.histories.doubt()
            self._counted = counted

    def _load(self, uri: str | None) -> Snapshot:
        record = None if uri else self._store.active_bundle()
        try:
            if named := uri or (record and record.uri):
                bundle = load_bundle(named)
                return Snapshot(deploy(bundle), Catalogue(bundle.item_ids), bundle)
            self.trouble = ("no active bundle: run `recsys train blend`, then restart",)
        except BundleError as error:
            if uri:  # asked for by name: say so at once
                raise
            self.trouble = (str(error),)
        counts = self._store.item_counts()
        item_ids = tuple(item.item_id for page in self._store.items() for item in page)
        numbers = np.array([counts.get(item_id, 0) for item_id in item_ids], dtype=np.int64)
        return Snapshot(popular_only(numbers), Catalogue(item_ids), None)

    def _publish(self, items: Sequence[Item]) -> None:
        """Makes stored items, new or changed, part of the next answer. Text sources learn those whose text is new."""
        live = self.snapshot
        shown = [item for item in items if item.active]
        live.catalogue.put([(item.item_id, item.title) for item in shown])
        live.catalogue.delete([item.item_id for item in items if not item.active])
        if live.bundle is None:
            return
        texts = {item.item_id: item_text(item.title, item.attributes) for item in shown}
        domains = {item.item_id: item.domain for item in shown}
        trained = live.bundle.texts
        new = [
            item_id
            for item_id, text in texts.items()
            if (row := live.catalogue.row(item_id)) is None
            or row >= len(trained)
            or text_hash(text, domains[item_id]) != trained[row]
        ]
        for name in live.deployed.text_encoders if new else ():
            if encoder := self._encoder(name):
                read = [texts[item_id] for item_id in new], [domains[item_id] for item_id in new]
                vectors = stored_vectors(self._store, encoder, new, *read)
                deployed = live.deployed.with_items(live.catalogue.rows(new), vectors)
                self.snapshot = live = replace(live, deployed=deployed)

    def _encoder(self, name: str) -> TextEncoder | None:
        """The text encoder that the bundle was trained with; None, told in readiness, where this installation lacks it."""
        if name not in self._encoders:
            self._encoders[name] = self._loaded(name)
        return self._encoders[name]

    def _loaded(self, name: str) -> TextEncoder | None:
        assert self.snapshot.bundle is not None
        if part := carried(self.snapshot.bundle):
            return ItemTextEncoder.from_part(part, device=self._device)
        trained = self.snapshot.bundle.about.get("text_encoder_hash")
        why = "its weights are not those of the bundle"
        try:
            encoder = text_encoder(name, device=self._device)
        except ConfigError as error:
            encoder, why = None, str(error)
        if encoder and (not trained or encoder.hash == trained):
            return encoder
        self.trouble += (f"text encoder {name!r}: {why}; items newer than the bundle have no text: train again",)
        return None
