"""Texts to vectors, by a frozen pretrained encoder or, without weights, by hashed character n-grams."""

import hashlib
import zlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.pretrained import load_sentence_encoder, packaged_folder
from recsys.store import Store


class TextEncoder(Protocol):
    """`name` is what settings and bundles call it; vectors of different names never mix."""

    @property
    def name(self) -> str: ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (texts, dim) of unit length; an empty text has one too."""
        ...


class PretrainedText:
    """A sentence encoder: a folder, a hub name, or `packaged`."""

    def __init__(self, name: str, *, device: str = "cpu") -> None:
        self.name = name
        self._model = load_sentence_encoder(name, device=device)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = self._model.encode(
            list(texts), batch_size=64, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
        return np.asarray(vectors, dtype=np.float32)


class HashedNgrams:
    """Character 3- to 5-grams, each hashed to one of `dim` signed places; needs no weights."""

    name = "hashed"

    def __init__(self, *, dim: int = 384) -> None:
        self._dim = dim

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        out = np.zeros((len(texts), self._dim), dtype=np.float32)
        for row, text in zip(out, texts, strict=True):
            padded = f" {text.lower()} "
            for size in (3, 4, 5):
                for start in range(len(padded) - size + 1):
                    code = zlib.crc32(padded[start : start + size].encode("utf-8", "replace"))
                    row[code % self._dim] += 1 if code & (1 << 31) else -1
            row[0] += not row.any()
        return out / np.linalg.norm(out, axis=1, keepdims=True)


def text_encoder(name: str, *, device: str = "cpu") -> TextEncoder:
    """`auto`: the packaged encoder where it is installed, else `hashed`; anything else by its name.

    Raises:
        ConfigError: the encoder cannot be loaded.
    """
    if name == "auto":
        name = "packaged" if packaged_folder() else "hashed"
    return HashedNgrams() if name == "hashed" else PretrainedText(name, device=device)


def text_hash(text: str) -> str:
    """Changes when the text does."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def text_vectors(
    store: Store, encoder: TextEncoder, item_ids: Sequence[str], texts: Sequence[str]
) -> NDArray[np.float32]:
    """Vectors (items, dim) of the items' texts; what the store holds from before is not encoded again."""
    keys = [(item_id, text_hash(text)) for item_id, text in zip(item_ids, texts, strict=True)]
    held = store.vectors(encoder.name, item_ids)
    missing = [i for i, key in enumerate(keys) if key not in held]
    if missing:
        made = encoder.encode([texts[i] for i in missing])
        new = {keys[i]: vector for i, vector in zip(missing, made, strict=True)}
        store.save_vectors(encoder.name, new)
        held |= new
    return np.stack([held[key] for key in keys])
