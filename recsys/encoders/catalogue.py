"""The trained text encoder of a catalogue: vectors after any of its trained layers, truncated to any width.

It is one part of a bundle: weights, tokenizer, domains, and the (layers, dims) pairs that it was trained to serve.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from models.encoders.text import TextEncoder
from models.errors import ConfigError
from recsys.bundle import Part
from recsys.bundle_io import load_bundle
from recsys.encoders.base import Vectors
from recsys.encoders.batching import length_buckets
from recsys.encoders.catalogue_parts import KIND, load_text_model, require_text_encoder
from recsys.encoders.normalize import l2_normalize, sanitize_text
from recsys.encoders.precision import CataloguePrecision, Document
from recsys.encoders.tokenizer import TextTokenizer, collate_tokens
from recsys.errors import BundleError

TOKENS_PER_BATCH = 4096
"""Padded tokens, that is."""


class CatalogueTextEncoder:
    """Encodes a text with the expert of its domain, or with the general expert where it has none or an unknown one.

    `offered` lists (layers, dims) pairs, cheapest first; the last is the whole encoder. `exits` are their layers. Vectors of
    different layers are different spaces: never compare them.
    """

    reads_domains = True

    def __init__(self, part: Part, *, device: str = "cpu") -> None:
        self.name, self.hash = part.name, part.hash
        self.bundled_part = part
        model, self._tokenizer = load_text_model(part)
        self._model, config = model.to(device), model.config
        self.domains: tuple[str, ...] = tuple(part.config["domains"])
        self.offered: tuple[tuple[int, int], ...] = tuple((layers, dims) for layers, dims in part.config["offered"])
        self.dim, self.layers = config.dim, config.layers
        self.exits = tuple(sorted({self.layers, *(layers for layers, _ in self.offered)}))
        self._precision = CataloguePrecision(part.name, device=device)

    def encode_documents(
        self, texts: Sequence[str], *, domains: Sequence[str | None] | None = None, layers: int | None = None
    ) -> Vectors:
        """Unit vectors (texts, dim) after `layers` (default: all); texts of like length and domain share a batch.

        Raises:
            ConfigError: a number of layers that the encoder was not trained to stop after.
        """
        layers = self._checked(layers)
        return self._encode(texts, domains, [layers])[layers]

    def encode_queries(
        self, texts: Sequence[str], *, domains: Sequence[str | None] | None = None, layers: int | None = None
    ) -> Vectors:
        """Unit vectors (texts, dim) to search items with; without a domain, the mean over all experts.

        The vector of each item is from its domain's expert, whose vector of the query is in that mean.
        """
        layers = self._checked(layers)
        experts = [
            [domain] if domain is not None else [None, *self.domains] for domain in domains or [None] * len(texts)
        ]
        if not experts:
            return self._encode([], None, [layers])[layers]
        repeated = [text for text, names in zip(texts, experts, strict=True) for _ in names]
        vectors = self._encode(repeated, [name for names in experts for name in names], [layers])[layers]
        starts = np.cumsum([0, *map(len, experts[:-1])])
        return l2_normalize(np.add.reduceat(vectors, starts))

    def encode_exits(
        self, texts: Sequence[str], *, domains: Sequence[str | None] | None = None
    ) -> Mapping[int, Vectors]:
        """Unit vectors of documents after each of `exits`, for the price of the deepest alone, in `precision`."""
        documents = list(zip(texts, domains or [None] * len(texts), strict=True))
        return self._precision.encode(documents, self._encode_exits)

    @property
    def precision(self) -> str:
        return self._precision.description

    def knows(self, text: str) -> bool:
        """Is any word of `text` in the vocabulary?"""
        return self._tokenizer.knows(sanitize_text(text))

    def head(self, text: str) -> str:
        """The start of `text` up to where it is truncated."""
        return self._tokenizer.head(sanitize_text(text))

    def expert(self, domain: str | None) -> int:
        """The expert for texts of `domain`: 0, the general one, where it has none of its own."""
        return self.domains.index(domain) + 1 if domain in self.domains and self._model.config.experts else 0

    def has_weights(self, trained: str) -> bool:
        return self.hash == trained

    def _encode_exits(self, documents: Sequence[Document]) -> dict[int, Vectors]:
        return self._encode([text for text, _ in documents], [domain for _, domain in documents], self.exits)

    def _encode(
        self, texts: Sequence[str], domains: Sequence[str | None] | None, exits: Sequence[int]
    ) -> dict[int, Vectors]:
        experts = np.array([self.expert(domain) for domain in domains or [None] * len(texts)], dtype=np.int64)
        return encode_texts(self._model, self._tokenizer, texts, experts=experts, exits=exits)

    @classmethod
    def from_part(cls, part: Part, *, device: str = "cpu") -> "CatalogueTextEncoder":
        """The encoder that was stored as `part`.

        Raises:
            BundleError: it is no text encoder, or its weights do not fit its settings.
        """
        if part.kind != KIND:
            raise BundleError(f"part {part.name!r} is of kind {part.kind!r}, not {KIND!r}")
        try:
            return cls(part, device=device)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
            raise BundleError(f"part {part.name!r} does not fit its settings ({error}); train it again") from error

    def _checked(self, layers: int | None) -> int:
        if layers is not None and layers not in self.exits:
            trained = ", ".join(map(str, self.exits))
            raise ConfigError(f"layers={layers}: {self.name} was trained to stop after {trained}")
        return self.layers if layers is None else layers


def truncate(vectors: Vectors, dims: int) -> Vectors:
    """The first `dims` numbers of each row, at length 1 again and contiguous.

    Raises:
        ConfigError: more numbers than there are, or none.
    """
    if not 1 <= dims <= vectors.shape[1]:
        raise ConfigError(f"dims={dims}: these vectors have 1 to {vectors.shape[1]}")
    return l2_normalize(vectors[:, :dims])


def encode_texts(
    model: TextEncoder,
    tokenizer: TextTokenizer,
    texts: Sequence[str],
    *,
    experts: NDArray[np.int64],
    exits: Sequence[int],
) -> dict[int, Vectors]:
    """Unit vectors (texts, dim) after each of `exits`, each text by its expert; texts of like length share a batch."""
    device = model.tokens.weight.device
    tokens = tokenizer.encode([sanitize_text(text) for text in texts])
    lengths = np.array([len(text) for text in tokens], dtype=np.int64)
    out = {layers: np.empty((len(texts), model.config.dim), dtype=np.float32) for layers in exits}
    for batch in length_buckets(lengths, tokens=TOKENS_PER_BATCH, generator=np.random.default_rng(0)):
        inputs = collate_tokens([tokens[i] for i in batch], experts=experts[batch].tolist(), device=device)
        with torch.inference_mode():
            for layers, vectors in model.exits(inputs, exits).items():
                out[layers][batch] = vectors.float().cpu().numpy()
    return {layers: l2_normalize(vectors) for layers, vectors in out.items()}


def from_bundle(uri: str, *, device: str = "cpu") -> CatalogueTextEncoder:
    """The text encoder in the bundle at `uri`.

    Raises:
        BundleError: there is no bundle, or none in it.
    """
    return CatalogueTextEncoder.from_part(require_text_encoder(load_bundle(uri)), device=device)
