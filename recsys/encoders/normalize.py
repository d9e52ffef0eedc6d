"""Text clean-up before encoding and L2 normalisation after it."""

import numpy as np
from numpy.typing import NDArray

from features.text import MAX_ITEM_CHARS
from features.unicode import with_few_marks, without_ignorable

MAX_CHARACTERS = MAX_ITEM_CHARS
"""Texts are truncated here; encoders truncate them further."""


def sanitize_text(text: str) -> str:
    """The text, truncated, without ignorable characters and lone surrogates, which tokenizers refuse."""
    text = with_few_marks(without_ignorable(text[:MAX_CHARACTERS]))
    return text.encode("utf-8", "replace").decode("utf-8")


def l2_normalize(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows of length 1; a row of zeros, or one that is not finite, becomes the first axis."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    usable = np.isfinite(lengths) & (lengths > 0)
    first = np.eye(1, vectors.shape[1])
    return np.where(usable, vectors / np.where(usable, lengths, 1), first).astype(np.float32)
