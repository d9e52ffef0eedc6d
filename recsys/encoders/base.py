"""What every text encoder offers, and how a text is told from another."""

import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class TextEncoder(Protocol):
    """`name` is what settings and bundles call it; `hash` says what it computes, and vectors of two hashes never mix."""

    @property
    def name(self) -> str: ...

    @property
    def hash(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors (texts, dim) of unit length, never NaN; a text without a single letter has one too."""
        ...

    def knows(self, text: str) -> bool:
        """Is any word of `text` one that it tells from others? The vectors of all other texts are alike."""
        ...

    def head(self, text: str) -> str:
        """As much of `text`, from its start, as is read."""
        ...


def text_hash(text: str, domain: str | None = None) -> str:
    """Changes when the text does, or the domain that decides who reads it."""
    read = text if domain is None else f"{domain}\n{text}"
    return hashlib.sha256(read.encode("utf-8", "replace")).hexdigest()[:32]
