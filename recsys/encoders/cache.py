"""Text vectors kept in the store, so that nothing is encoded twice."""

from collections.abc import Iterator, Sequence

import numpy as np

from recsys.encoders.base import TextEncoder, Vectors, text_hash
from recsys.encoders.catalogue import CatalogueTextEncoder
from recsys.store import Store
from recsys.store.vectors import LAYER

PIECE = 2048
"""Texts encoded between two writes to the store: what an interrupted run has done is kept."""


def stored_vectors(
    store: Store,
    encoder: TextEncoder,
    item_ids: Sequence[str],
    texts: Sequence[str],
    domains: Sequence[str | None] | None = None,
) -> Vectors:
    """Vectors (items, dim) of the items' texts. What the store holds of this encoder and text is not encoded again.

    `domains` count for an encoder that reads each with an expert of its own.
    """
    last = exits(encoder)[-1]
    return stored_exits(store, encoder, item_ids, texts, domains, layers=[last])[last]


def stored_exits(
    store: Store,
    encoder: TextEncoder,
    item_ids: Sequence[str],
    texts: Sequence[str],
    domains: Sequence[str | None] | None = None,
    *,
    layers: Sequence[int],
) -> dict[int, Vectors]:
    """The same after each of `layers`, some of the encoder's `exits`. Whatever is encoded is kept after all of these."""
    read = list(domains) if domains is not None and isinstance(encoder, CatalogueTextEncoder) else [None] * len(texts)
    keys = [(i, text_hash(text, domain)) for i, text, domain in zip(item_ids, texts, read, strict=True)]
    held = {layer: store.vectors(encoder.hash, item_ids, layer=layer) for layer in layers}
    missing = [index for index, key in enumerate(keys) if any(key not in held[layer] for layer in layers)]
    for piece in _pieces(missing):
        made = _encoded(encoder, [texts[index] for index in piece], [read[index] for index in piece])
        for layer, vectors in made.items():
            new = {keys[index]: vector for index, vector in zip(piece, vectors, strict=True)}
            store.save_vectors(encoder.hash, new, layer=layer)
            if layer in held:
                held[layer] |= new
    empty = np.empty((0, encoder.dim), dtype=np.float32)
    return {layer: np.stack([found[key] for key in keys]) if keys else empty for layer, found in held.items()}


def exits(encoder: TextEncoder) -> tuple[int, ...]:
    """The layers after which vectors of this encoder are kept, the whole encoder last."""
    return encoder.exits if isinstance(encoder, CatalogueTextEncoder) else (LAYER,)


def _encoded(encoder: TextEncoder, texts: Sequence[str], domains: Sequence[str | None]) -> dict[int, Vectors]:
    if isinstance(encoder, CatalogueTextEncoder):
        return encoder.encode_exits(texts, domains=domains)
    return {LAYER: encoder.encode(texts)}


def _pieces(indexes: Sequence[int]) -> Iterator[Sequence[int]]:
    return (indexes[start : start + PIECE] for start in range(0, len(indexes), PIECE))
