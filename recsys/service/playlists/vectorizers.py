"""How stored lists become vectors: by their items through an encoder, or by their names.

A reader is one encoder as it is now. When an item gets its text, or another one, the encoder is replaced, and the new reader
says which items it reads otherwise than the one before.
"""

import hashlib
from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from recsys.data.history import Rows
from recsys.retrieval.lists.encoder import ListEncoder, ListVectors
from recsys.retrieval.lists.neural import NeuralListEncoder
from recsys.retrieval.lists.serving import NAMES
from recsys.retrieval.lists.words import ngrams
from recsys.service.state.catalogue import Catalogue
from recsys.store import Store
from recsys.store.records import Playlist


class ListVectorizer(Protocol):
    """`key` names what is computed: vectors of two keys never mix. Of one `name` the last that was met is kept."""

    @property
    def name(self) -> str: ...

    @property
    def key(self) -> str: ...

    def encode(self, lists: Sequence[Playlist]) -> ListVectors:
        """Vectors (lists, dim) of stored lists; zeros for one that has no direction."""
        ...

    def changed_items(self, before: Self) -> list[str]:
        """The items that `before`, of the same key, read otherwise."""
        ...


class NameVectorizer:
    """Lists as their names read."""

    name = key = NAMES

    def encode(self, lists: Sequence[Playlist]) -> ListVectors:
        return ngrams([one.name for one in lists])

    def changed_items(self, before: "NameVectorizer") -> list[str]:  # noqa: ARG002  (names have no items)
        return []


class ItemVectorizer:
    """Lists as `encoder` reads their items. What a trained one has read is kept in the store: a restart reads nothing again."""

    def __init__(self, encoder: ListEncoder, catalogue: Catalogue, store: Store) -> None:
        self._encoder, self._catalogue, self._store = encoder, catalogue, store

    @property
    def name(self) -> str:
        return self._encoder.name

    @property
    def key(self) -> str:
        return f"{self.name}:{self._encoder.hash}"

    def encode(self, lists: Sequence[Playlist]) -> ListVectors:
        rows = [self._catalogue.rows(one.item_ids) for one in lists]
        encoder = self._encoder
        return self._kept(encoder, lists, rows) if isinstance(encoder, NeuralListEncoder) else encoder.encode(rows)

    def changed_items(self, before: "ItemVectorizer") -> list[str]:
        new, old = self._encoder, before._encoder
        if new is old or not isinstance(new, NeuralListEncoder) or not isinstance(old, NeuralListEncoder):
            return []
        return [self._catalogue.item_ids[row] for row in new.changed_rows(old).tolist()]

    def _kept(self, encoder: NeuralListEncoder, lists: Sequence[Playlist], rows: Sequence[Rows]) -> ListVectors:  # type: ignore[type-arg]
        keys = [(one.playlist_id, _content(encoder, read)) for one, read in zip(lists, rows, strict=True)]
        held = self._store.vectors(encoder.hash, [one.playlist_id for one in lists], owner="playlist")
        missing = [i for i, key in enumerate(keys) if key not in held]
        if missing:
            made = dict(zip((keys[i] for i in missing), encoder.encode([rows[i] for i in missing]), strict=True))
            self._store.save_vectors(encoder.hash, made, owner="playlist")
            held |= made
        return np.stack([held[key] for key in keys]) if keys else np.empty((0, encoder.dim), dtype=np.float32)


def _content(encoder: NeuralListEncoder, rows: Rows) -> str:  # type: ignore[type-arg]
    """Changes when what the encoder reads of the list does: an item, its place, or its vector."""
    read: NDArray[np.float32] = encoder.vectors[encoder.usable(rows)]
    return hashlib.blake2b(read.tobytes(), digest_size=16).hexdigest()
