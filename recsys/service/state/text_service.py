"""Texts of items and of queries, encoded as the bundle that answers was trained to.

A bundle stands on one text encoder: one that it carries, or one that this installation has to have. Vectors are kept in the
store, so a changed text costs one encoding and a restart none.
"""

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from features.text import MAX_VALUE_CHARS, item_text
from models.errors import ConfigError
from recsys.bundle import Bundle
from recsys.encoders.base import TextEncoder, Vectors, has_text, text_hash
from recsys.encoders.cache import stored_exits
from recsys.encoders.catalogue import CatalogueTextEncoder
from recsys.encoders.catalogue_parts import find_text_encoder
from recsys.encoders.resolve import text_encoder
from recsys.errors import Degraded, InvalidRequest, NotReady
from recsys.indexes.build import Kind
from recsys.retrieval.serving import ServingModel
from recsys.retrieval.source import Allowed, StoredSource
from recsys.service.state.catalogue import Catalogue
from recsys.store import Store
from recsys.store.records import Item

log = logging.getLogger(__name__)

TITLE = "title: "
"""What a query begins with, encoded as the title of an item."""

NO_TEXT = ""
"""The hash of no text."""


class TextService:
    """The text encoder of `bundle`, loaded when it is first needed if it is not inside, and what is known of the items' texts.

    `names` are the text encoders that the parts ask for, `reads_texts` says whether a part reads texts. `text_index` is how
    vectors of an encoder that the bundle carries are searched, `indexes` the folder where such indexes are kept. `problems` says
    why texts cannot be encoded, once that was tried.

    Raises (constructor):
        BundleError: the text encoder that the bundle carries does not fit its settings.
    """

    def __init__(
        self,
        store: Store,
        bundle: Bundle,
        names: frozenset[str],
        *,
        reads_texts: bool,
        device: str,
        text_index: Kind,
        indexes: Path | None,
    ) -> None:
        self._store, self._bundle, self._device = store, bundle, device
        self._text_index, self._indexes = text_index, indexes
        self._names, self._reads_texts = names, reads_texts
        self._text_hashes = dict[str, str]()
        self._silent = np.zeros(0, dtype=np.bool_)  # by row; replaced, never changed: readers hold no lock
        self._loading = threading.Lock()
        self._loaded = not self._names
        self._encoder: TextEncoder | None = None
        self.problems: tuple[str, ...] = ()
        if find_text_encoder(bundle):
            self.encoder()

    def encoder(self) -> TextEncoder | None:
        """None where no part reads texts, or where this installation lacks the encoder that the bundle was trained with."""
        with self._loading:
            if not self._loaded:
                self._encoder, self._loaded = self._load(), True
            return self._encoder

    @property
    def description(self) -> str | None:
        """The text encoder and the precision in which it encodes catalogues; None while none is loaded."""
        encoder = self._encoder
        return None if encoder is None else f"{encoder.name}, catalogues in {encoder.precision}"

    def changed_items(self, items: Iterable[Item], catalogue: Catalogue) -> list[Item]:
        """Those of `items` whose text is not the one that the sources know them by. They count as known from now on."""
        changed = []
        silent = np.zeros(len(catalogue), dtype=np.bool_)
        silent[: len(self._silent)] = self._silent
        for item in items if self._reads_texts else ():
            row = catalogue.row(item.item_id)
            silent[row] |= not item.text
            digest = text_hash(item.text, item.domain)
            if digest != self._text_hashes.get(item.item_id, self._trained_hash(item.item_id, catalogue)):
                silent[row] = not self._has_text(item.text)
                self._text_hashes[item.item_id] = digest
                changed.append(item)
        self._silent = silent
        return changed

    def is_current(self, item: Item) -> bool:
        """Is the text of `item` the one that was last seen of it?"""
        return self._text_hashes.get(item.item_id) == text_hash(item.text, item.domain)

    def encode(self, items: Sequence[Item]) -> Mapping[int, Vectors]:
        """The texts of `items` after each exit of the encoder; nothing where texts cannot be encoded."""
        encoder = self.encoder() if items else None
        return {} if encoder is None else self._exits(encoder, items)

    def forget(self, items: Iterable[Item]) -> None:
        """Has `items` count as changed when they come again."""
        self._text_hashes |= dict.fromkeys((item.item_id for item in items), NO_TEXT)

    def with_vectors(self, model: ServingModel, catalogue: Catalogue) -> ServingModel:
        """`model` whose source over the bundle's own text encoder, if it carries one, knows all items of the store.

        An item of the training that the store lacks, or has deleted, counts as changed: it is encoded once it comes back.
        """
        encoder = self.encoder() if find_text_encoder(self._bundle) else None
        if encoder is None:
            return model
        size = len(catalogue)
        stored, silent = np.zeros(size, dtype=np.bool_), np.ones(size, dtype=np.bool_)
        exits = {layers: np.zeros((size, encoder.dim), dtype=np.float32) for layers in encoder.exits}
        for page in self._store.items():
            active = [item for item in page if item.active and catalogue.row(item.item_id) is not None]  # others follow
            rows = catalogue.rows(item.item_id for item in active)
            stored[rows], silent[rows] = True, [self.is_silent(row) for row in rows.tolist()]
            for layers, vectors in self._exits(encoder, active).items():
                exits[layers][rows] = vectors
        absent = np.flatnonzero(~stored[: len(self._bundle.item_ids)])
        self._text_hashes |= {self._bundle.item_ids[row]: NO_TEXT for row in absent}
        return model.with_catalogue(exits, known=stored & ~silent, index=self._text_index, cache_dir=self._indexes)

    def query_vectors(self, source: StoredSource, texts: Sequence[tuple[str, str | None]]) -> Vectors:
        """Vectors (texts, dim) of (text, domain) pairs, for `Query.vector` of `source`.

        Raises:
            NotReady: the encoder is not to be had.
        """
        encoder = self.encoder()
        if encoder is None:
            raise NotReady("; ".join(self.problems) or "no part of this bundle reads texts: train a blend")
        return source.query_vectors(encoder, [text for text, _ in texts], [domain for _, domain in texts])

    def warnings(self, text: str) -> list[Degraded]:
        """Warnings of a query `text`: no word of it is known, or it is long and its end is not encoded."""
        encoder = self.encoder()
        if encoder and not encoder.knows(text.removeprefix(TITLE)):
            return [
                Degraded("query", "the text encoder knows nothing in it: nothing fits but items that share its words")
            ]
        head = text if encoder is None else encoder.head(text)
        if len(head) == len(text) <= MAX_VALUE_CHARS:
            return []
        size = len(head.removeprefix(TITLE))
        return [Degraded("query", f"only its first {size:,} characters are read: send the words that matter")]

    def is_silent(self, row: int) -> bool:
        """Has the item at `row` no text?"""
        return row < len(self._silent) and bool(self._silent[row])

    def with_text(self, allowed: Allowed) -> Allowed:
        """The rows of `allowed` whose items have a text: those without one are near to nothing but each other."""
        silent = self._silent[: len(allowed)]
        return allowed & ~np.pad(silent, (0, len(allowed) - len(silent)))

    def domain_warnings(self, domain: str) -> list[Degraded]:
        """A warning where the encoder has experts, but none for `domain`."""
        encoder = self.encoder()
        if encoder and encoder.reads_domains and encoder.domains and domain not in encoder.domains:
            return [Degraded("domain", f"domain {domain!r} was not trained: the general expert reads the text")]
        return []

    def _has_text(self, text: str) -> bool:
        """Does the encoder know anything in `text`?"""
        encoder = self.encoder()
        return bool(text) if encoder is None else has_text(encoder, text)

    def _exits(self, encoder: TextEncoder, items: Sequence[Item]) -> Mapping[int, Vectors]:
        return stored_exits(
            self._store,
            encoder,
            [item.item_id for item in items],
            [item.text for item in items],
            [item.domain for item in items],
            layers=encoder.exits,
        )

    def _trained_hash(self, item_id: str, catalogue: Catalogue) -> str | None:
        """The hash of the text that the bundle was trained on; a row is for life, and the bundle's come first."""
        row = catalogue.row(item_id)
        return None if row is None or row >= len(self._bundle.texts) else self._bundle.texts[row]

    def _load(self) -> TextEncoder | None:
        if part := find_text_encoder(self._bundle):
            return CatalogueTextEncoder.from_part(part, device=self._device)
        trained, name = self._bundle.about.get("text_encoder_hash"), min(self._names)
        why = "its weights are not those of the bundle"
        try:
            encoder = text_encoder(name, device=self._device)
        except ConfigError as error:
            encoder, why = None, str(error)
        if encoder and (not trained or encoder.has_weights(trained)):
            return encoder
        self.problems = (f"text encoder {name!r}: {why}; items newer than the bundle have no text: train again",)
        return None


def readable(text: str) -> str:
    """`text` as item texts are encoded: without markup, white space collapsed.

    Raises:
        InvalidRequest: no text is left.
    """
    if not (plain := item_text(text, {})):
        raise InvalidRequest("nothing in this text can be read: send words, not markup alone")
    return plain
