"""The manifest of a bundle: signed when it is written, checked from end to end before anything that it names is opened.

A bundle may come from anywhere. Its signature shows damage, not who wrote it: whoever can change a file can sign it again.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from recsys.errors import BundleError

FORMAT = 2
MANIFEST, VOCABULARY, TEXTS = "manifest.json", "vocabulary.json", "texts.json"
MAX_DEPTH = 64
"""Levels of JSON inside JSON. Ours have about ten; each level costs a call wherever the manifest is stored or shown."""

PATH = re.compile(r"[\w@+. -]+(/[\w@+. -]+)*")


def _inside(path: str) -> str:
    if not PATH.fullmatch(path) or not {".", ".."}.isdisjoint(path.split("/")):
        raise ValueError("names stay inside the bundle's folder: no '..', no absolute path, no URL")
    return path


Name = Annotated[str, Field(max_length=200), AfterValidator(_inside)]
"""Of a file, or of a part, after which its file is called when it is saved again."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True)

    kind: str
    config: dict[str, Any]
    hash: Digest
    figures: dict[str, Any]
    file: Name


class _Manifest(BaseModel):
    model_config = ConfigDict(strict=True)

    created: Annotated[str, Field(pattern=r"^[0-9T:.+Z-]{1,40}$")]
    default: str
    about: dict[str, Any]
    vocabulary_hash: Digest
    parts: Annotated[dict[Name, _Part], Field(min_length=1)]
    files: dict[Name, Digest]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.default not in self.parts:
            raise ValueError(f"the default {self.default!r} is none of its parts, {', '.join(self.parts)}")
        of_parts = [part.file for part in self.parts.values()]
        if sorted(self.files) != sorted([VOCABULARY, TEXTS, *of_parts]):
            raise ValueError("its files are not those of its parts, one each, beside the vocabulary and the texts")
        return self


def parse_manifest(content: bytes, path: str) -> dict[str, Any]:
    """The manifest stored as `content` at `path`.

    Raises:
        BundleError: damaged, of another format, or not what a manifest has to be.
    """
    try:
        manifest = json.loads(content)
        if not isinstance(manifest, dict):
            raise ValueError("no JSON object")
        if (stored := manifest.get("format", FORMAT)) != FORMAT:
            raise BundleError(f"{path} has bundle format {stored!r:.40}; this version reads {FORMAT}: train again")
        if is_deeper(manifest, MAX_DEPTH):
            raise ValueError(f"more than {MAX_DEPTH} levels of JSON")
        intact = signed(manifest) == content
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} is damaged ({error}); restore it or train again") from error
    if not intact:
        raise BundleError(f"{path} is damaged: its SHA-256 is not the one it ends with; restore it or train again")
    try:
        _Manifest.model_validate(manifest)
    except ValidationError as error:
        raise BundleError(f"{path} is no manifest of a bundle: {_first(error)}; restore it or train again") from error
    return manifest


def parse_strings(content: bytes, path: str) -> tuple[str, ...]:
    """The list of strings stored as JSON `content` at `path`.

    Raises:
        BundleError: it is none, or holds what is no Unicode text.
    """
    try:
        strings = json.loads(content)
        if not isinstance(strings, list) or not all(isinstance(string, str) for string in strings):
            raise ValueError("no list of strings")
        json.dumps(strings, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} is damaged ({error}); restore it or train again") from error
    return tuple(strings)


def signed(manifest: Mapping[str, Any]) -> bytes:
    """The manifest as it is stored: JSON that ends with the SHA-256 of all before."""
    unsigned = {key: value for key, value in manifest.items() if key != "sha256"}
    return _json(unsigned | {"sha256": digest(_json(unsigned))})


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def is_deeper(value: object, levels: int) -> bool:
    """Whether `value` has more than `levels` levels of lists and dicts. Looks no deeper than that."""
    match value:
        case dict():
            return levels == 0 or any(is_deeper(inner, levels - 1) for inner in value.values())
        case list():
            return levels == 0 or any(is_deeper(inner, levels - 1) for inner in value)
    return False


def _json(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False).encode()


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, and where, in one line of bounded length."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(key) for key in first["loc"] if key != "[key]")
    return f"{where!r:.200}: {first['msg']:.200}" if where else f"{first['msg']:.200}"
