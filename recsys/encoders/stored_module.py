"""Torch modules from stored weights."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from models.errors import ConfigError

Module = TypeVar("Module", bound=nn.Module)


def stored_module(build: Callable[[], Module], weights: Mapping[str, Tensor]) -> Module:
    """The module that `build` makes, with `weights`, for inference.

    It is built without memory first: stored settings may ask for any size, while the weights are there already.

    Raises:
        ConfigError: the weights are not those of such a module.
    """
    check_weights(build, {name: tuple(weight.shape) for name, weight in weights.items()})
    module = build()
    module.load_state_dict(weights)
    return module.eval()


def check_weights(build: Callable[[], nn.Module], stored: Mapping[str, tuple[int, ...]]) -> None:
    """Does nothing if the module that `build` makes has weights of the shapes `stored`. It is built without memory.

    Raises:
        ConfigError: it has others.
    """
    with torch.device("meta"):
        expected = {name: tuple(weight.shape) for name, weight in build().state_dict().items()}
    if other := sorted(name for name, _ in expected.items() ^ stored.items()):
        raise ConfigError(f"its weights and its settings do not have the same {other[0]}")
