"""The precision in which catalogues are encoded: bfloat16 where this machine has shown that it is faster and ranks alike.

Vectors of both precisions lie in one space and are stored under one hash. So which machine encoded an item moves its ten nearest
by no more than `MIN_OVERLAP` allows, and a machine that fails the check compares its float32 vectors with the stored ones all the
same. Queries stay in float32: one short text gains nothing, and is compared with vectors of either precision.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from recsys.encoders.base import Vectors

log = logging.getLogger(__name__)

SAMPLE_TEXTS = 256
NEAREST = 10
MIN_OVERLAP = 0.99
"""Share of the nearest texts in the sample that must be the same in both precisions, as a mean over the sample."""

Document = tuple[str, str | None]
"""A text and its domain."""
Encode = Callable[[Sequence[Document]], Mapping[int, Vectors]]
"""Documents to vectors by exit, in the precision of the caller's context."""


class CataloguePrecision:
    """Of one loaded encoder: float32 until `SAMPLE_TEXTS` distinct documents came, which are then encoded in both.

    The sample is of the catalogue itself, so the check is of its words and its language; fewer texts would not pay for it.
    """

    def __init__(self, name: str, *, device: str) -> None:
        self._name, self._device = name, torch.device(device).type
        self._sample = dict[Document, None]()
        self._deciding = threading.Lock()
        self._in_half: bool | None = None
        self.description = f"float32 until {SAMPLE_TEXTS} texts are compared with bfloat16"

    def encode(self, documents: Sequence[Document], encode: Encode) -> Mapping[int, Vectors]:
        """Vectors of `documents` by exit, in the precision of catalogues."""
        with self._deciding:
            if self._in_half is None:
                self._observe(documents, encode)
        return self._encoded(documents, encode, in_half=bool(self._in_half))

    def _observe(self, documents: Sequence[Document], encode: Encode) -> None:
        self._sample |= dict.fromkeys(documents)
        if len(self._sample) >= SAMPLE_TEXTS:
            self._in_half = self._check(list(self._sample)[:SAMPLE_TEXTS], encode)
            self._sample.clear()
            log.info("text encoder %s: catalogues are encoded in %s", self._name, self.description)

    def _check(self, sample: Sequence[Document], encode: Encode) -> bool:
        """Is bfloat16 faster, with the same nearest texts after each exit?"""
        started = time.perf_counter()
        exact = self._encoded(sample, encode, in_half=False)
        between = time.perf_counter()
        rounded = self._encoded(sample, encode, in_half=True)
        speedup = (between - started) / (time.perf_counter() - between)
        overlap = min(nearest_overlap(exact[layers], rounded[layers]) for layers in exact)
        in_half = overlap >= MIN_OVERLAP and speedup > 1
        self.description = (
            f"{'bfloat16' if in_half else 'float32'}: of {len(sample)} texts bfloat16 was {speedup:.1f} times as fast, "
            f"with {overlap:.4f} of the {NEAREST} nearest the same (at least {MIN_OVERLAP} needed)"
        )
        return in_half

    def _encoded(self, documents: Sequence[Document], encode: Encode, *, in_half: bool) -> Mapping[int, Vectors]:
        with torch.autocast(self._device, torch.bfloat16, enabled=in_half):
            return encode(documents)


def nearest_overlap(a: Vectors, b: Vectors) -> float:
    """The mean share of the `NEAREST` rows nearest to each row that are the same among `a` as among `b`, both (texts, dim)."""
    pairs = zip(_nearest(a), _nearest(b), strict=True)
    return float(np.mean([len(np.intersect1d(x, y)) / len(x) for x, y in pairs]))


def _nearest(vectors: Vectors) -> NDArray[np.int64]:
    """(texts, NEAREST): the other rows with the highest inner product."""
    products = vectors @ vectors.T
    np.fill_diagonal(products, -np.inf)
    return np.argsort(-products, axis=1, kind="stable")[:, :NEAREST]
