"""The trained text encoder of a catalogue: vectors after any of its trained layers, cut to any width.

It stands in a bundle as one part: weights, tokenizer, domains, and the (layers, dims) pairs that it was trained to serve.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.encoders.text import TextEncoder, TextEncoderConfig
from models.errors import ConfigError
from models.pretrained import load_text_encoder
from recsys.bundle import Bundle, Part
from recsys.bundle_io import load_bundle
from recsys.encoders.batching import length_buckets
from recsys.encoders.normalize import l2_normalize, sanitize_text
from recsys.encoders.tokenizer import TextTokenizer, collate_tokens
from recsys.errors import BundleError

KIND = "item-text"
WEIGHTS, TOKENIZER = "weights.", "tokenizer"

TOKENS = 4096
"""Padded tokens encoded at once."""

Vectors = NDArray[np.float32]


class CatalogueTextEncoder:
    """Reads texts by the expert of their domain; an unknown domain, or none, is read by the general expert.

    `offered` lists (layers, dims) pairs, cheapest first; the last is the whole encoder. `exits` are their layers. Vectors of
    different layers are different spaces: never compare them.
    """

    def __init__(self, part: Part, *, device: str = "cpu") -> None:
        self.name, self.hash = part.name, part.hash
        self._part = part
        model, self._tokenizer = load_text_model(part)
        self._model, config = model.to(device), model.config
        self.domains: tuple[str, ...] = tuple(part.config["domains"])
        self.offered: tuple[tuple[int, int], ...] = tuple((layers, dims) for layers, dims in part.config["offered"])
        self.dim, self.layers = config.dim, config.layers
        self.exits = tuple(sorted({self.layers, *(layers for layers, _ in self.offered)}))

    def encode(
        self, texts: Sequence[str], *, domains: Sequence[str | None] | None = None, layers: int | None = None
    ) -> Vectors:
        """Unit vectors (texts, dim) after `layers` (default: all); texts of like length and domain share a batch.

        Raises:
            ConfigError: a number of layers that the encoder was not trained to stop after.
        """
        layers = self._checked(layers)
        return self._read(texts, domains, [layers])[layers]

    def encode_questions(
        self, texts: Sequence[str], *, domains: Sequence[str | None] | None = None, layers: int | None = None
    ) -> Vectors:
        """The same for texts to find items by; where nobody names a domain, the mean of what all experts read.

        Each item is compared as its own expert reads it, and one of the mean's parts is that expert's.
        """
        layers = self._checked(layers)
        readers = [
            [domain] if domain is not None else [None, *self.domains] for domain in domains or [None] * len(texts)
        ]
        if not readers:
            return self._read([], None, [layers])[layers]
        spread = [text for text, own in zip(texts, readers, strict=True) for _ in own]
        read = self._read(spread, [domain for own in readers for domain in own], [layers])[layers]
        starts = np.cumsum([0, *map(len, readers[:-1])])
        return l2_normalize(np.add.reduceat(read, starts))

    def encode_exits(self, texts: Sequence[str], *, domains: Sequence[str | None] | None = None) -> dict[int, Vectors]:
        """The same after each of `exits`, for the price of the deepest alone."""
        return self._read(texts, domains, self.exits)

    def knows(self, text: str) -> bool:
        """Is any word of `text` in the vocabulary?"""
        return self._tokenizer.knows(sanitize_text(text))

    def head(self, text: str) -> str:
        """As much of `text`, from its start, as is read."""
        return self._tokenizer.head(sanitize_text(text))

    def expert(self, domain: str | None) -> int:
        """The expert who reads texts of `domain`: 0, the general one, where it has none of its own."""
        return self.domains.index(domain) + 1 if domain in self.domains and self._model.config.experts else 0

    def _read(
        self, texts: Sequence[str], domains: Sequence[str | None] | None, exits: Sequence[int]
    ) -> dict[int, Vectors]:
        experts = np.array([self.expert(domain) for domain in domains or [None] * len(texts)], dtype=np.int64)
        return exits_of(self._model, self._tokenizer, texts, experts=experts, exits=exits)

    def part(self, name: str) -> Part:
        p = self._part
        return Part(name=name, kind=p.kind, config=p.config, arrays=p.arrays, figures=p.figures)

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
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
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


def exits_of(
    model: TextEncoder,
    tokenizer: TextTokenizer,
    texts: Sequence[str],
    *,
    experts: NDArray[np.int64],
    exits: Sequence[int],
) -> dict[int, Vectors]:
    """Unit vectors (texts, dim) after each of `exits`, each text read by its expert; those of like length share a batch."""
    device = model.tokens.weight.device
    tokens = tokenizer.encode([sanitize_text(text) for text in texts])
    lengths = np.array([len(text) for text in tokens], dtype=np.int64)
    out = {layers: np.empty((len(texts), model.config.dim), dtype=np.float32) for layers in exits}
    for batch in length_buckets(lengths, tokens=TOKENS, generator=np.random.default_rng(0)):
        read = collate_tokens([tokens[i] for i in batch], experts=experts[batch].tolist(), device=device)
        with torch.inference_mode():
            for layers, vectors in model.exits(read, exits).items():
                out[layers][batch] = vectors.float().cpu().numpy()
    return {layers: l2_normalize(vectors) for layers, vectors in out.items()}


def load_text_model(part: Part) -> tuple[TextEncoder, TextTokenizer]:
    """The network and the tokenizer in `part`.

    Raises:
        ConfigError: they do not fit each other, or what is offered.
    """
    config = TextEncoderConfig(**part.config["encoder"])
    weights = {
        name.removeprefix(WEIGHTS): torch.from_numpy(array.astype(np.float32))
        for name, array in part.arrays.items()
        if name.startswith(WEIGHTS)
    }
    if "domains.weight" in weights:  # as it was stored before each token had a weight of its own
        weights |= {f"domains.{number}": token for number, token in enumerate(weights.pop("domains.weight"))}
    _check_size(config, weights, part.config["offered"])
    model = TextEncoder(config)
    settled = {name: weight.shape for name, weight in model.state_dict().items()}
    held = {name: weight.shape for name, weight in weights.items()}
    if other := sorted(name for name, _ in settled.items() ^ held.items()):
        raise ConfigError(f"its weights and its settings do not have the same {other[0]}")
    if (named := len(part.config["domains"])) != max(0, config.experts - 1):
        raise ConfigError(f"it names {named} domains for {config.experts} experts, of which one is general")
    if broken := sorted(name for name, weight in weights.items() if not weight.isfinite().all()):
        raise ConfigError(f"its weights {broken[0]} are not all numbers")
    model.load_state_dict(weights)
    tokenizer = TextTokenizer(part.arrays[TOKENIZER].tobytes().decode(), max_length=config.max_length)
    if tokenizer.vocabulary > config.vocabulary:
        raise ConfigError(f"{tokenizer.vocabulary} tokens for {config.vocabulary} token vectors: train it again")
    return model.eval(), tokenizer


def _check_size(config: TextEncoderConfig, weights: Mapping[str, Tensor], offered: Sequence[Sequence[int]]) -> None:
    """Does nothing where the weights have the layers and the width of the settings, and as many as are offered."""
    layers = len({name.split(".")[1] for name in weights if name.startswith("layers.")})
    width = weights["tokens.weight"].shape[1]
    if (layers, width) != (config.layers, config.dim):
        raise ConfigError(
            f"its weights have {layers} layers of width {width}, its settings {config.layers} of {config.dim}"
        )
    if not offered:
        raise ConfigError("it offers no size")
    for at, dims in offered:
        if not (1 <= at <= layers and 1 <= dims <= width):
            raise ConfigError(f"it offers {at} layers x {dims} dims, and has 1 to {layers} x 1 to {width}")


def text_part(
    model: TextEncoder,
    *,
    name: str,
    tokenizer: str,
    domains: Sequence[str],
    offered: Sequence[tuple[int, int]],
    about: dict[str, Any] | None = None,
) -> Part:
    """`model` as it is stored, in half precision; `about` is kept beside it.

    Raises:
        ConfigError: some weight is no number, or too large for half precision.
    """
    arrays = {
        WEIGHTS + key: value.detach().cpu().numpy().astype(np.float16) for key, value in model.state_dict().items()
    }
    if broken := sorted(key for key, array in arrays.items() if not np.isfinite(array).all()):
        raise ConfigError(f"{broken[0]} are not all numbers in half precision: train with a lower learning rate")
    arrays[TOKENIZER] = np.frombuffer(tokenizer.encode(), dtype=np.uint8)
    config = {
        "encoder": asdict(model.config),
        "domains": list(domains),
        "offered": [list(pair) for pair in sorted(offered)],
        **(about or {}),
    }
    return Part(name=name, kind=KIND, config=config, arrays=arrays)


def checkpoint_part(
    checkpoint: str, *, layers: int | None = None, max_length: int | None = None, exits: Sequence[int] = ()
) -> Part:
    """The first `layers` (default: all) of a checkpoint as it is, untrained; it may also be asked after `exits`.

    Raises:
        ConfigError: as `load_text_encoder`.
    """
    read = load_text_encoder(checkpoint, layers=layers, max_length=max_length)
    config = read.encoder.config
    offered = [(at, config.dim) for at in (*exits, config.layers)]
    return text_part(read.encoder, name=checkpoint, tokenizer=read.tokenizer, domains=[], offered=offered)


def find_text_encoder(bundle: Bundle) -> Part | None:
    """The text encoder inside a bundle; None where its texts are read by one from elsewhere."""
    return next((part for part in bundle.parts.values() if part.kind == KIND), None)


def from_bundle(uri: str, *, device: str = "cpu") -> CatalogueTextEncoder:
    """The text encoder in the bundle at `uri`.

    Raises:
        BundleError: there is no bundle, or none in it.
    """
    return CatalogueTextEncoder.from_part(require_text_encoder(load_bundle(uri)), device=device)


def require_text_encoder(bundle: Bundle) -> Part:
    """The text encoder inside a bundle.

    Raises:
        BundleError: there is none.
    """
    part = find_text_encoder(bundle)
    if part is None:
        raise BundleError(f"{bundle.uri} holds no text encoder: name a bundle that `recsys train item-text` wrote")
    return part
