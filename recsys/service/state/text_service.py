"""Texts of items and of questions, read as the bundle that answers was taught to read them.

A bundle stands on one text encoder: one that it carries, or one that this installation has to have. What was encoded once is
kept in the store, so a changed text costs one encoding and a restart none.
"""

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.text import LONGEST, item_text
from models.errors import ConfigError
from recsys.bundle import Bundle
from recsys.encoders.base import TextEncoder, text_hash
from recsys.encoders.cache import exits, stored_exits
from recsys.encoders.catalogue import CatalogueTextEncoder, find_text_encoder, truncate
from recsys.encoders.resolve import has_weights, text_encoder
from recsys.errors import InvalidRequest, NotReady
from recsys.indexes.build import Kind
from recsys.indexes.space import Space
from recsys.retrieval.item_text import SizedSource, SpacedVectors, over_items
from recsys.retrieval.serving import Deployed
from recsys.retrieval.source import Allowed
from recsys.retrieval.text import TextSource
from recsys.retrieval.truncation import Truncation, Unmet
from recsys.service.state.catalogue import Catalogue
from recsys.store import Store
from recsys.store.records import Item

log = logging.getLogger(__name__)

Vectors = NDArray[np.float32]

TITLE = "title: "
"""What a question begins with, read as the title of an item."""

UNREAD = ""
"""The hash of no text."""


class TextService:
    """The text encoder of `bundle`, loaded when it is first needed if it is not inside, and what is known of the items' texts.

    `names` are the text encoders that the parts ask for, `text_index` is how vectors of one that the bundle carries are
    searched, `indexes` the folder where what that takes is kept. `problems` says why texts cannot be read, once that was tried.

    Raises (constructor):
        BundleError: the text encoder that the bundle carries does not fit its settings.
    """

    def __init__(
        self,
        store: Store,
        bundle: Bundle,
        names: frozenset[str],
        *,
        device: str,
        text_index: Kind,
        indexes: Path | None,
    ) -> None:
        self._store, self._bundle, self._device = store, bundle, device
        self._text_index, self._indexes = text_index, indexes
        self._names = names
        self._read = dict[str, str]()
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

    def changed_items(self, items: Iterable[Item], catalogue: Catalogue) -> list[Item]:
        """Those of `items` whose text is not the one that the sources know them by. They count as read from now on."""
        found = []
        silent = np.zeros(len(catalogue), dtype=np.bool_)
        silent[: len(self._silent)] = self._silent
        for item in items if self._names else ():
            text = item_text(item.title, item.attributes)
            silent[catalogue.row(item.item_id)] = not text
            now = text_hash(text, item.domain)
            if now != self._read.get(item.item_id, self._trained(item.item_id, catalogue)):
                self._read[item.item_id] = now
                found.append(item)
        self._silent = silent
        return found

    def learned(self, items: Sequence[Item]) -> Mapping[int, Vectors]:
        """The texts of `items` after each exit of the encoder; nothing where texts cannot be read.

        Where that fails, because the store is away, they count as unread again.
        """
        encoder = self.encoder() if items else None
        try:
            return {} if encoder is None else self._exits(encoder, items)
        except Exception:
            self._read |= dict.fromkeys((item.item_id for item in items), UNREAD)
            raise

    def filled(self, deployed: Deployed, catalogue: Catalogue) -> Deployed:
        """`deployed` whose source over the bundle's own text encoder knows all items of the store.

        An item of the training that the store lacks, or has deleted, is unread: it is read once it comes back.
        """
        part = find_text_encoder(self._bundle)
        if part is None:
            return deployed
        encoder, size = self.encoder(), len(catalogue)
        assert isinstance(encoder, CatalogueTextEncoder)
        known = np.zeros(size, dtype=np.bool_)
        vectors = {layers: np.zeros((size, encoder.dim), dtype=np.float32) for layers in encoder.exits}
        for page in self._store.items():
            shown = [item for item in page if item.active and catalogue.row(item.item_id) is not None]  # others follow
            rows = catalogue.rows(item.item_id for item in shown)
            known[rows] = True
            for layers, made in self._exits(encoder, shown).items():
                vectors[layers][rows] = made
        absent = np.flatnonzero(~known[: len(self._bundle.item_ids)])
        self._read |= {self._bundle.item_ids[row]: UNREAD for row in absent}
        source = over_items(part, vectors, known=known, kind=self._text_index, kept=self._indexes)
        return deployed.with_source(part.name, source)

    def of_questions(
        self, deployed: Deployed, name: str, size: Truncation | None, asked: Sequence[tuple[str, str | None]]
    ) -> Vectors:
        """Vectors (texts, dim) of (text, domain) pairs, for `Query.vector` of the source `name` at `size`.

        Raises:
            NotReady: the encoder is not to be had.
            InvalidRequest: the source does not read texts.
        """
        source, encoder = deployed.source(name, size), self.encoder()
        if not isinstance(source, SizedSource | TextSource):
            raise InvalidRequest(f"part {name!r} cannot be asked a text: leave `encoder` out")
        if encoder is None:
            raise NotReady("; ".join(self.problems) or "no part of this bundle reads texts: train a blend")
        texts, domains = [text for text, _ in asked], [domain for _, domain in asked]
        if isinstance(source, TextSource):
            if isinstance(encoder, CatalogueTextEncoder):
                return source.of_texts(encoder.encode_questions(texts, domains=domains))
            return source.of_texts(encoder.encode(texts))
        assert isinstance(encoder, CatalogueTextEncoder)
        assert size is not None
        vectors = truncate(encoder.encode_questions(texts, domains=domains, layers=size.layers), size.dims)
        space = Space(encoder=encoder.hash, layers=size.layers, dims=size.dims)
        return source.of_texts(SpacedVectors(space, vectors))

    def unmet(self, text: str) -> list[Unmet]:
        """What of a question that is `text` is not met: nothing in it is known, or it is long and its end is not read."""
        encoder = self.encoder()
        if encoder and not encoder.knows(text.removeprefix(TITLE)):
            return [("query", "the text encoder knows nothing in it: what is shown is near to no word")]
        head = text if encoder is None else encoder.head(text)
        if len(head) == len(text) <= LONGEST:
            return []
        read = len(head.removeprefix(TITLE))
        return [("query", f"only its first {read:,} characters are read: send the words that matter")]

    def is_silent(self, row: int) -> bool:
        """Has the item at `row` no text?"""
        return row < len(self._silent) and bool(self._silent[row])

    def with_text(self, allowed: Allowed) -> Allowed:
        """The rows of `allowed` whose items have a text: those without one are near to nothing but each other."""
        silent = self._silent[: len(allowed)]
        return allowed & ~np.pad(silent, (0, len(allowed) - len(silent)))

    def restrict_to_domain(self, domain: str, catalogue: Catalogue, allowed: Allowed) -> tuple[Allowed, list[Unmet]]:
        """The rows of `allowed` that are of `domain`, and what of it is not met."""
        flags, encoder = catalogue.of_domain(domain), self.encoder()
        if flags is None:
            return allowed, [("domain", f"no item is of domain {domain!r}: all are searched")]
        kept = allowed & flags[: len(allowed)]
        if isinstance(encoder, CatalogueTextEncoder) and encoder.domains and domain not in encoder.domains:
            return kept, [("domain", f"domain {domain!r} was not trained: the general expert reads the text")]
        return kept, []

    def _exits(self, encoder: TextEncoder, items: Sequence[Item]) -> Mapping[int, Vectors]:
        return stored_exits(
            self._store,
            encoder,
            [item.item_id for item in items],
            [item_text(item.title, item.attributes) for item in items],
            [item.domain for item in items],
            layers=exits(encoder),
        )

    def _trained(self, item_id: str, catalogue: Catalogue) -> str | None:
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
        if encoder and (not trained or has_weights(encoder, trained)):
            return encoder
        self.problems = (f"text encoder {name!r}: {why}; items newer than the bundle have no text: train again",)
        return None


def readable(text: str) -> str:
    """`text` in the form in which items are read.

    Raises:
        InvalidRequest: nothing is left of it without markup and white space.
    """
    if not (found := item_text(text, {})):
        raise InvalidRequest("nothing in this text can be read: send words, not markup alone")
    return found
