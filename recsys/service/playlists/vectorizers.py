"""Stored lists as vectors: by their items through a list encoder, or by their names.

A vectorizer stands for one state of an encoder. When an item gets its text, or another one, the encoder is replaced, and the new
vectorizer says for which items the two differ.
"""

from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np

from recsys.data.history import Rows
from recsys.retrieval.lists.encoder import ListEncoder, ListVectors
from recsys.retrieval.lists.serving import NAMES
from recsys.retrieval.lists.words import ngrams
from recsys.service.state.catalogue import Catalogue
from recsys.store import Store
from recsys.store.records import Playlist


class ListVectorizer(Protocol):
    """`key` names what is computed: vectors of two keys never mix. Of one `name` the last that was used is kept."""

    @property
    def name(self) -> str: ...

    @property
    def key(self) -> str: ...

    def encode(self, lists: Sequence[Playlist]) -> ListVectors:
        """Vectors (lists, dim) of stored lists; zeros for one that has no direction."""
        ...

    def changed_items(self, before: Self) -> list[str]:
        """The items of which `before`, of the same key, had other vectors."""
        ...


class NameVectorizer:
    """Lists by their names."""

    name = key = NAMES

    def encode(self, lists: Sequence[Playlist]) -> ListVectors:
        return ngrams([playlist.name for playlist in lists])

    def changed_items(self, before: "NameVectorizer") -> list[str]:  # noqa: ARG002  (names have no items)
        return []


class ItemVectorizer:
    """Lists by their items, through `encoder`. Vectors of a trained one are stored: a restart encodes nothing again."""

    def __init__(self, encoder: ListEncoder, catalogue: Catalogue, store: Store) -> None:
        self._encoder, self._catalogue, self._store = encoder, catalogue, store

    @property
    def name(self) -> str:
        return self._encoder.name

    @property
    def key(self) -> str:
        return f"{self.name}:{self._encoder.hash}"

    def encode(self, lists: Sequence[Playlist]) -> ListVectors:
        rows = [self._catalogue.rows(playlist.item_ids) for playlist in lists]
        contents = [self._encoder.content_key(items) for items in rows]
        if not all(contents):
            return self._encoder.encode(rows)
        keys = [(playlist.playlist_id, content or "") for playlist, content in zip(lists, contents, strict=True)]
        return self._from_store(keys, rows)

    def changed_items(self, before: "ItemVectorizer") -> list[str]:
        return [self._catalogue.item_ids[row] for row in self._encoder.changed_rows(before._encoder).tolist()]

    def _from_store(self, keys: Sequence[tuple[str, str]], rows: Sequence[Rows]) -> ListVectors:
        """Vectors of the lists (id, content) of `keys`; the store then has all of them."""
        encoder = self._encoder
        vectors = self._store.vectors(encoder.hash, [playlist_id for playlist_id, _ in keys], owner="playlist")
        missing = [i for i, key in enumerate(keys) if key not in vectors]
        if missing:
            new = dict(zip((keys[i] for i in missing), encoder.encode([rows[i] for i in missing]), strict=True))
            self._store.save_vectors(encoder.hash, new, owner="playlist")
            vectors |= new
        return np.stack([vectors[key] for key in keys]) if keys else np.empty((0, encoder.dim), dtype=np.float32)
