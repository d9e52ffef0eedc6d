"""The interface of text encoders, and the hash that tells one text from another."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.store.records import LAST_LAYER

Vectors = NDArray[np.float32]


class TextEncoder(Protocol):
    """`name` identifies the encoder in settings and bundles, `hash` its weights: vectors of two hashes never mix.

    `exits` are the layers after which its vectors are stored, the whole encoder last. `reads_domains` says whether the domain
    of a text counts, `domains` lists those with an expert of their own. `bundled_part` is the part of a bundle that the encoder
    comes from, None where it is installed.
    """

    @property
    def name(self) -> str: ...

    @property
    def hash(self) -> str: ...

    @property
    def dim(self) -> int: ...

    @property
    def exits(self) -> tuple[int, ...]: ...

    @property
    def reads_domains(self) -> bool: ...

    @property
    def domains(self) -> tuple[str, ...]: ...

    @property
    def bundled_part(self) -> Part | None: ...

    @property
    def precision(self) -> str:
        """In which precision catalogues are encoded on this machine, and why."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors (texts, dim) of unit length, never NaN; a text without a single letter has one too."""
        ...

    def encode_queries(
        self, texts: Sequence[str], *, domains: Sequence[str | None] | None = None, layers: int | None = None
    ) -> Vectors:
        """Vectors (texts, dim) to search documents of `domains` with, after `layers` (default: all), one of `exits`."""
        ...

    def encode_exits(
        self, texts: Sequence[str], *, domains: Sequence[str | None] | None = None
    ) -> Mapping[int, Vectors]:
        """Vectors of a catalogue's documents after each of `exits`, for the price of the deepest alone, in `precision`."""
        ...

    def knows(self, text: str) -> bool:
        """Is any word of `text` in the vocabulary? The vectors of all other texts are alike."""
        ...

    def head(self, text: str) -> str:
        """The start of `text` up to where the encoder truncates it."""
        ...

    def has_weights(self, trained: str) -> bool:
        """Is `trained`, the hash in a bundle, the hash of these weights?"""
        ...


class SingleExitEncoder(ABC):
    """Base of the encoders with vectors after the last layer alone, who encode queries as documents and ignore domains."""

    exits: tuple[int, ...] = (LAST_LAYER,)
    reads_domains = False
    domains: tuple[str, ...] = ()
    bundled_part: Part | None = None

    @property
    def precision(self) -> str:
        return "float32"

    @property
    @abstractmethod
    def hash(self) -> str:
        """As `TextEncoder.hash`."""

    @abstractmethod
    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """As `TextEncoder.encode_documents`."""

    def encode_queries(
        self,
        texts: Sequence[str],
        *,
        domains: Sequence[str | None] | None = None,  # noqa: ARG002  (ignored)
        layers: int | None = None,
    ) -> Vectors:
        assert layers in (None, LAST_LAYER), f"layers={layers}: this encoder has no exits"
        return self.encode_documents(texts)

    def encode_exits(
        self,
        texts: Sequence[str],
        *,
        domains: Sequence[str | None] | None = None,  # noqa: ARG002  (ignored)
    ) -> Mapping[int, Vectors]:
        return {LAST_LAYER: self.encode_documents(texts)}

    def has_weights(self, trained: str) -> bool:
        return self.hash == trained


def has_text(encoder: TextEncoder, text: str) -> bool:
    """Does `encoder` know any value in `text`, an item's? The names of attributes do not count."""
    return any(encoder.knows(pair.split(": ", 1)[-1]) for pair in text.split(" | "))


def text_hash(text: str, domain: str | None = None) -> str:
    """Changes with the text, and with the domain that selects its expert."""
    hashed = text if domain is None else f"{domain}\n{text}"
    return hashlib.sha256(hashed.encode("utf-8", "replace")).hexdigest()[:32]
