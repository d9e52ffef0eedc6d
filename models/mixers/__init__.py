"""Mixers of a sequence encoder: what lets the events of a history see each other.

A new one is a file here with its config and module, one more member of `MixerConfig` and one more case in each function below.
The contract tests walk the union.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias, assert_never

from torch import nn

from models.errors import ConfigError
from models.mixers.full import FullAttention, FullConfig

MixerConfig: TypeAlias = FullConfig
"""The settings of any mixer; the field `kind` says which."""


def build_mixer(config: MixerConfig, *, dim: int) -> nn.Module:
    """The mixer of these settings over vectors `dim` wide: a `models.streaming.Mixer`.

    Raises:
        ConfigError: settings that do not fit `dim`.
    """
    match config:
        case FullConfig():
            return FullAttention(config, dim=dim)
    assert_never(config)


def mixer_config(settings: Mapping[str, Any]) -> MixerConfig:
    """Settings restored from the fields that `dataclasses.asdict` gave.

    Raises:
        ConfigError: a `kind` that is missing or unknown, or a value that the mixer refuses.
    """
    match settings.get("kind"):
        case "full":
            return FullConfig(**settings)
        case kind:
            raise ConfigError(f"mixer kind={kind!r}: choose full")
