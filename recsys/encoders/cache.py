"""Text vectors stored with the items, so that nothing is encoded twice."""

from collections.abc import Generator, Sequence

import numpy as np

from recsys.encoders.base import TextEncoder, Vectors, has_text, text_hash
from recsys.pace import Pace, result_of
from recsys.store import Store

TEXTS_PER_WRITE = 2048
"""Texts encoded between two writes to the store: an interrupted run loses no more than these."""


def stored_vectors(
    store: Store,
    encoder: TextEncoder,
    item_ids: Sequence[str],
    texts: Sequence[str],
    domains: Sequence[str | None] | None = None,
) -> Vectors:
    """Vectors (items, dim) of the items' texts. Texts that the store has a vector of, by this encoder, are not encoded again.

    `domains` count where the encoder reads them.
    """
    last = encoder.exits[-1]
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
    """Vectors as `stored_vectors` after each of `layers`, some of the encoder's `exits`. A new text is stored after all exits."""
    return result_of(encode_missing(store, encoder, item_ids, texts, domains, layers=layers))


def encode_missing(
    store: Store,
    encoder: TextEncoder,
    item_ids: Sequence[str],
    texts: Sequence[str],
    domains: Sequence[str | None] | None = None,
    *,
    layers: Sequence[int],
) -> Generator[str, None, dict[int, Vectors]]:
    """Yields now and then how many texts are encoded; returns the vectors as `stored_exits`.

    A text of which the encoder knows no value has the vector of the empty text: it is near to nothing by chance.
    """
    item_domains = list(domains) if domains is not None and encoder.reads_domains else [None] * len(texts)
    keys = [(i, text_hash(text, domain)) for i, text, domain in zip(item_ids, texts, item_domains, strict=True)]
    stored = {layer: store.vectors(encoder.hash, item_ids, layer=layer) for layer in layers}
    missing = [index for index, key in enumerate(keys) if any(key not in stored[layer] for layer in layers)]
    pace = Pace()
    for start in range(0, len(missing), TEXTS_PER_WRITE):
        chunk = missing[start : start + TEXTS_PER_WRITE]
        known = [texts[i] if has_text(encoder, texts[i]) else "" for i in chunk]
        exits = encoder.encode_exits(known, domains=[item_domains[i] for i in chunk])
        for layer, vectors in exits.items():
            new = {keys[index]: vector for index, vector in zip(chunk, vectors, strict=True)}
            store.save_vectors(encoder.hash, new, layer=layer)
            if layer in stored:
                stored[layer] |= new
        if pace.is_due():
            yield f"{start + len(chunk):,} of {len(missing):,} item texts are encoded by {encoder.name}"
    empty = np.empty((0, encoder.dim), dtype=np.float32)
    return {layer: np.stack([vectors[key] for key in keys]) if keys else empty for layer, vectors in stored.items()}
