"""Texts to vectors, by a frozen pretrained encoder or, without weights, by hashed character n-grams."""

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.pretrained import (
    encoder_hash,
    load_sentence_encoder,
    load_text_encoder,
    mean_bert,
    packaged_folder,
    weights_hash,
)
from recsys.bundle import MANIFEST
from recsys.data.item_text import ItemTextEncoder, exits_of, from_bundle
from recsys.data.tokens import TextTokenizer
from recsys.data.units import legal, unit
from recsys.store import Store
from recsys.store.vectors import LAYER

PIECE = 2048
"""Texts encoded between two writes to the store: what an interrupted run has done is kept."""

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


class BertText:
    """A sentence encoder that `models.pretrained.mean_bert` knows, read by our own network: the same vectors, sooner.

    Raises:
        ConfigError: it cannot be loaded.
    """

    def __init__(self, name: str, *, device: str = "cpu") -> None:
        self.name = name
        read = load_text_encoder(name)
        self._model = read.encoder.to(device)
        self._tokenizer = TextTokenizer(read.tokenizer, max_length=read.encoder.config.max_length)
        self.dim, self._layers = read.encoder.config.dim, read.encoder.config.layers

    @cached_property
    def hash(self) -> str:
        return encoder_hash(self._model, self._tokenizer.definition)

    def encode(self, texts: Sequence[str]) -> Vectors:
        general = np.zeros(len(texts), dtype=np.int64)
        return exits_of(self._model, self._tokenizer, texts, experts=general, exits=[self._layers])[self._layers]

    def knows(self, text: str) -> bool:
        return self._tokenizer.knows(legal(text))

    def head(self, text: str) -> str:
        return self._tokenizer.head(legal(text))


class PretrainedText:
    """Any other sentence encoder: a folder or a hub name. Texts of like length share a batch.

    Raises:
        ConfigError: it cannot be loaded.
    """

    def __init__(self, name: str, *, device: str = "cpu", batch_size: int = 64) -> None:
        self.name = name
        self._batch_size = batch_size
        self._model = load_sentence_encoder(name, device=device)
        self.dim = int(self._model.get_embedding_dimension() or 0)

    @cached_property
    def hash(self) -> str:
        return weights_hash(self._model)

    def encode(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        distinct, place = np.unique(np.array([legal(text) for text in texts], dtype=object), return_inverse=True)
        vectors = self._model.encode(  # sorts by length before it cuts batches
            distinct.tolist(), batch_size=self._batch_size, show_progress_bar=False, convert_to_numpy=True
        )
        return unit(np.asarray(vectors, dtype=np.float32))[place]

    def knows(self, text: str) -> bool:
        tokenizer = self._model.tokenizer
        return any(token != tokenizer.unk_token_id for token in tokenizer.encode(legal(text), add_special_tokens=False))

    def head(self, text: str) -> str:
        tokenizer, length = self._model.tokenizer, self._model.max_seq_length
        if length is None or not getattr(tokenizer, "is_fast", False):  # it cannot tell where it stops
            return text
        read = tokenizer(legal(text), truncation=True, max_length=length, return_offsets_mapping=True, verbose=False)
        whole = len(read["input_ids"]) < length
        return text if whole else text[: max(end for _, end in read["offset_mapping"])]


class HashedNgrams:
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

    def encode(self, texts: Sequence[str]) -> Vectors:
        out = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in zip(out, texts, strict=True):
            row[:] = self._project(legal(unicodedata.normalize("NFKC", text).casefold()))
        return unit(out)

    def knows(self, text: str) -> bool:
        return bool(text)

    def head(self, text: str) -> str:
        return text

    def _project(self, text: str) -> NDArray[np.float64]:
        grams, counts = np.unique(_ngram_codes(f"  {text}  ", self.SIZES), return_counts=True)
        out = np.zeros(self.dim)
        for turn in range(1, self.SIGNS + 1):
            code = _mix(grams + POWERS[turn])
            sign = np.where(code >> np.uint64(63), 1.0, -1.0)
            place = (code % np.uint64(self.dim)).astype(np.int64)
            out += np.bincount(place, weights=sign * np.sqrt(counts), minlength=self.dim)
        return out


def text_encoder(name: str, *, device: str = "cpu") -> TextEncoder:
    """`auto`: the packaged encoder where it is installed, else `hashed`; a bundle by its URI; anything else by its name.

    Raises:
        ConfigError: the encoder cannot be loaded.
        BundleError: the bundle is damaged, or has no text encoder.
    """
    if "://" in name or (name.strip() and (Path(name).expanduser() / MANIFEST).is_file()):
        return from_bundle(name, device=device)
    if name == "auto":
        name = "packaged" if packaged_folder() else "hashed"
    if name == "hashed":
        return HashedNgrams()
    return BertText(name, device=device) if mean_bert(name) else PretrainedText(name, device=device)


def has_weights(encoder: TextEncoder, trained: str) -> bool:
    """Is `trained` the hash of `encoder`? Bundles of earlier versions hold the one that a BERT has for sentence-transformers."""
    if encoder.hash == trained:
        return True
    return isinstance(encoder, BertText) and PretrainedText(encoder.name).hash == trained


def text_hash(text: str, domain: str | None = None) -> str:
    """Changes when the text does, or the domain that decides who reads it."""
    read = text if domain is None else f"{domain}\n{text}"
    return hashlib.sha256(read.encode("utf-8", "replace")).hexdigest()[:32]


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
    read = list(domains) if domains is not None and isinstance(encoder, ItemTextEncoder) else [None] * len(texts)
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
    return encoder.exits if isinstance(encoder, ItemTextEncoder) else (LAYER,)


def _encoded(encoder: TextEncoder, texts: Sequence[str], domains: Sequence[str | None]) -> dict[int, Vectors]:
    if isinstance(encoder, ItemTextEncoder):
        return encoder.encode_exits(texts, domains=domains)
    return {LAYER: encoder.encode(texts)}


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


def _pieces(indexes: Sequence[int]) -> Iterator[Sequence[int]]:
    return (indexes[start : start + PIECE] for start in range(0, len(indexes), PIECE))
