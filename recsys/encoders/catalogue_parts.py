"""How a catalogue text encoder is stored as a part of a bundle."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.encoders.text import TextEncoder, TextEncoderConfig
from models.errors import ConfigError
from models.pretrained import load_text_encoder
from recsys.bundle import Bundle, Part
from recsys.encoders.stored_module import check_weights, stored_module
from recsys.encoders.tokenizer import TextTokenizer
from recsys.errors import BundleError

KIND = "item-text"
WEIGHTS, TOKENIZER = "weights.", "tokenizer"
MAX_SIZES = 256
"""Sizes that one encoder offers, at most: each has an index of its own."""


def load_text_model(part: Part) -> tuple[TextEncoder, TextTokenizer]:
    """The network and the tokenizer in `part`.

    Raises:
        ConfigError: they do not fit each other, or the sizes offered.
    """
    config = checked_config(part)
    weights = {name: torch.from_numpy(array.astype(np.float32)) for name, array in _weights(part).items()}
    if broken := sorted(name for name, weight in weights.items() if not weight.isfinite().all()):
        raise ConfigError(f"its weights {broken[0]} are not all numbers")
    model = stored_module(partial(TextEncoder, config), weights)
    tokenizer = TextTokenizer(part.arrays[TOKENIZER].tobytes().decode(), max_length=config.max_length)
    if tokenizer.vocabulary > config.vocabulary:
        raise ConfigError(f"{tokenizer.vocabulary} tokens for {config.vocabulary} token vectors: train it again")
    return model, tokenizer


def checked_config(part: Part) -> TextEncoderConfig:
    """The settings of the network in `part`, without its weights being put into one.

    Raises:
        ConfigError: they have not the layers, width and domains of its weights, or less than a size that it offers.
    """
    config = TextEncoderConfig(**part.config["encoder"])
    layers = len({name.split(".")[2] for name in part.arrays if name.startswith(f"{WEIGHTS}layers.")})
    width = part.arrays[f"{WEIGHTS}tokens.weight"].shape[1]
    if (layers, width) != (config.layers, config.dim):
        raise ConfigError(
            f"its weights have {layers} layers of width {width}, its settings {config.layers} of {config.dim}"
        )
    if (named := len(part.config["domains"])) != max(0, config.experts - 1):
        raise ConfigError(f"it names {named} domains for {config.experts} experts, of which one is general")
    _check_offered(part.config["offered"], layers=layers, width=width)
    check_weights(partial(TextEncoder, config), {name: array.shape for name, array in _weights(part).items()})
    return config


def _weights(part: Part) -> dict[str, NDArray[Any]]:
    """The weights of the network by the names that it has for them."""
    weights = {name.removeprefix(WEIGHTS): array for name, array in part.arrays.items() if name.startswith(WEIGHTS)}
    if "domains.weight" in weights:  # as it was stored before each token had a weight of its own
        weights |= {f"domains.{number}": token for number, token in enumerate(weights.pop("domains.weight"))}
    return weights


def _check_offered(offered: Sequence[Sequence[int]], *, layers: int, width: int) -> None:
    if not offered:
        raise ConfigError("it offers no size")
    if len(offered) > MAX_SIZES:
        raise ConfigError(f"it offers {len(offered)} sizes: at most {MAX_SIZES} can be served")
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
    """`model` as a part, in half precision, with `about` in its config.

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
    """The first `layers` (default: all) of a checkpoint, untrained; it offers the end and `exits`.

    Raises:
        ConfigError: as `load_text_encoder`.
    """
    pretrained = load_text_encoder(checkpoint, layers=layers, max_length=max_length)
    config = pretrained.encoder.config
    offered = [(at, config.dim) for at in (*exits, config.layers)]
    return text_part(pretrained.encoder, name=checkpoint, tokenizer=pretrained.tokenizer, domains=[], offered=offered)


def find_text_encoder(bundle: Bundle) -> Part | None:
    """The text encoder inside a bundle; None where the bundle needs an installed one."""
    return next((part for part in bundle.parts.values() if part.kind == KIND), None)


def require_text_encoder(bundle: Bundle) -> Part:
    """The text encoder inside a bundle.

    Raises:
        BundleError: there is none.
    """
    part = find_text_encoder(bundle)
    if part is None:
        raise BundleError(f"{bundle.uri} holds no text encoder: name a bundle that `recsys train item-text` wrote")
    return part
