"""How a catalogue text encoder is stored as a part of a bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.encoders.text import TextEncoder, TextEncoderConfig
from models.errors import ConfigError
from models.pretrained import load_text_encoder
from recsys.bundle import Bundle, Part
from recsys.encoders.tokenizer import TextTokenizer
from recsys.errors import BundleError

KIND = "item-text"
WEIGHTS, TOKENIZER = "weights.", "tokenizer"


def load_text_model(part: Part) -> tuple[TextEncoder, TextTokenizer]:
    """The network and the tokenizer in `part`.

    Raises:
        ConfigError: they do not fit each other, or the sizes offered.
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
    expected = {name: weight.shape for name, weight in model.state_dict().items()}
    stored = {name: weight.shape for name, weight in weights.items()}
    if other := sorted(name for name, _ in expected.items() ^ stored.items()):
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
    """Raises ConfigError: the weights have not the layers and width of the settings, or less than a size on offer."""
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
