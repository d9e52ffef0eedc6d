"""An index as one file: the SHA-256 of everything after the first line, a header as JSON, arrays as safetensors.

The header has the kind, the settings and, for vectors of a text encoder, their space.
"""

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as read_safetensors
from safetensors.numpy import save as write_safetensors

from recsys.bundle import Part
from recsys.errors import BundleError
from recsys.indexes.build import restore
from recsys.indexes.index import Index
from recsys.indexes.space import Space

FORMAT = 1


def save(index: Index, path: Path, *, space: Space | None = None) -> None:
    """Writes `index`, whose vectors are of `space`, to a partial file that is renamed to `path`: nobody reads half an index.

    Raises:
        BundleError: `path` cannot be written.
    """
    part = index.part(path.name)
    about = {"format": FORMAT, "kind": part.kind, "config": part.config, "space": asdict(space) if space else None}
    head = json.dumps(about).encode()
    body = head + b"\n" + write_safetensors({name: np.ascontiguousarray(a) for name, a in part.arrays.items()})
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(with_digest(body))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):  # there may be no folder to look into
            partial.unlink(missing_ok=True)
        raise BundleError(f"index not written to {path}: {error}; free space or choose another place") from error


def load(path: Path, *, space: Space | None = None) -> Index:
    """The index at `path`, whose vectors must be of `space` where one is named.

    Raises:
        BundleError: missing, damaged, of another space, or of a kind or format that this version does not know.
    """
    try:
        digest, _, body = path.read_bytes().partition(b"\n")
    except OSError as error:
        raise BundleError(f"no index at {path} ({error.strerror}); build it again") from error
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise BundleError(
            f"{path} is damaged: its SHA-256 is not the one in its first line; restore it or build it again"
        )
    head, _, arrays = body.partition(b"\n")
    try:
        about = json.loads(head)
        if about["format"] != FORMAT:
            raise BundleError(f"{path} has index format {about['format']}; this version reads {FORMAT}: build it again")
        if space is not None:
            stored = about.get("space")
            if stored is None:
                raise BundleError(
                    f"{path} does not say of which space its vectors are, {space} is needed: build it again"
                )
            space.must_be(Space(**stored), what=str(path))
        return restore(
            Part(name=path.name, kind=about["kind"], config=about["config"], arrays=read_safetensors(arrays))
        )
    except (ValueError, TypeError, KeyError, SafetensorError) as error:
        raise BundleError(f"{path} holds no index ({error}); build it again") from error


def with_digest(body: bytes) -> bytes:
    """`body` behind the line with its SHA-256."""
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _sync_folder(folder: Path) -> None:
    """So that the new name survives a power cut, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
