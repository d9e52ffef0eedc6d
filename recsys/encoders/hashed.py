"""Texts to vectors without weights: hashed character n-grams."""

import hashlib
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.encoders.base import SingleExitEncoder, Vectors
from recsys.encoders.normalize import l2_normalize, sanitize_text


class HashedNgrams(SingleExitEncoder):
    """Character 3- to 5-grams, each a sparse random sign vector given by its hash; needs no weights.

    A signed random projection (Achlioptas 2003, with `SIGNS` non-zeros a column) of the vector of n-gram counts, which are
    damped by a square root. Blind to meaning, good at names, brands and series.
    """

    name = "hashed"
    SIZES, SIGNS = (3, 4, 5), 4

    def __init__(self, *, dim: int = 384) -> None:
        self.dim = dim

    @property
    def hash(self) -> str:
        return hashlib.sha256(f"hashed n-grams, version 1: {self.SIZES} {self.SIGNS} {self.dim}".encode()).hexdigest()

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        out = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in zip(out, texts, strict=True):
            row[:] = self._project(sanitize_text(unicodedata.normalize("NFKC", sanitize_text(text)).casefold()))
        return l2_normalize(out)

    def knows(self, text: str) -> bool:
        return bool(text)

    def head(self, text: str) -> str:
        return text

    def _project(self, text: str) -> NDArray[np.float64]:
        grams, counts = np.unique(_ngram_codes(f"  {text}  ", self.SIZES), return_counts=True)
        out = np.zeros(self.dim)
        for projection in range(1, self.SIGNS + 1):
            code = _mix(grams + POWERS[projection])
            sign = np.where(code >> np.uint64(63), 1.0, -1.0)
            column = (code % np.uint64(self.dim)).astype(np.int64)
            out += np.bincount(column, weights=sign * np.sqrt(counts), minlength=self.dim)
        return out


POWERS = np.array([pow(0x9E3779B97F4A7C15, n, 2**64) for n in range(1, 9)], dtype=np.uint64)


def _ngram_codes(text: str, sizes: Sequence[int]) -> NDArray[np.uint64]:
    """One number per n-gram, equal for equal n-grams; wraps around on purpose."""
    points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.uint64)
    codes = []
    for size in sizes:
        windows = np.lib.stride_tricks.sliding_window_view(points, min(size, len(points)))
        codes.append(_mix((windows * POWERS[: windows.shape[1]]).sum(axis=1) + np.uint64(size)))
    return np.concatenate(codes)


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64: every bit of the result depends on every bit of `x`."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
