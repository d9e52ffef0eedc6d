"""Saves a bundle, whole or not at all, and loads it.

A bundle is a folder, local or behind any fsspec URL: `manifest.json`, `vocabulary.json`, `texts.json` and one safetensors
file per part. The manifest holds each part's settings, hash and measured figures, the protocol and library versions, and
the SHA-256 of every file, itself included. It is written last: a folder without a manifest is no bundle.
"""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as read_safetensors
from safetensors.numpy import save as write_safetensors

from recsys.bundle import Bundle, Part, vocabulary_hash
from recsys.bundle_files import check_files, discard, is_local, open_folder, read_file
from recsys.errors import BundleError
from recsys.manifest import FORMAT, MANIFEST, TEXTS, VOCABULARY, digest, parse_manifest, parse_strings, signed
from recsys.private_files import FOLDER, make_private, make_tree_private

LIBRARIES = ("torch", "transformers", "faiss-cpu", "implicit", "numpy", "safetensors")


def absolute(uri: str) -> str:
    """The same URI from any working directory: a local folder by its absolute path, anything else as it is.

    Raises:
        BundleError: no file system knows such a URI.
    """
    fs, root = open_folder(uri)
    return str(root if is_local(fs) else uri.rstrip("/"))


def check_free(folder: str, name: str) -> None:
    """Does nothing if there is no `folder`/`name` yet.

    Raises:
        BundleError: there is one.
    """
    fs, root = open_folder(folder)
    if fs.exists(final := f"{root}/{name}"):
        raise BundleError(f"{final} is there already: choose another name")


def new_name(model: str) -> str:
    """Name of a folder for a bundle of `model`, made from the time."""
    return f"{model.rpartition('/')[2]}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"


def save_bundle(bundle: Bundle, folder: str, *, name: str | None = None) -> str:
    """Writes `bundle` into the new folder `folder`/`name` and gives its URI; without a name it gets a `new_name`.

    On a local disk the files go to a partial folder that is renamed; elsewhere the manifest comes last. Either way nobody sees
    half a bundle.

    Raises:
        BundleError: the folder exists already or cannot be written.
    """
    name = name or new_name(bundle.default)
    check_free(folder, name)
    fs, root = open_folder(folder)
    final = f"{root}/{name}"
    local = is_local(fs)
    work = f"{root}/.{name}.{uuid.uuid4().hex[:6]}.partial" if local else final
    files = _files(bundle)
    manifest = _manifest(bundle, {path: digest(content) for path, content in files.items()})
    try:
        if local:
            Path(work).mkdir(mode=FOLDER, parents=True)
        for path, content in (*files.items(), (MANIFEST, manifest)):
            fs.makedirs(f"{work}/{path}".rsplit("/", 1)[0], exist_ok=True)
            fs.pipe_file(f"{work}/{path}", content)
        if local:
            make_tree_private(Path(work))
            Path(work).rename(final)
    except BaseException as error:
        discard(fs, work)
        if not isinstance(error, OSError):
            raise
        raise BundleError(
            f"bundle not written to {folder}: {error}; free space or choose another place, then retry"
        ) from error
    return str(final if local else fs.unstrip_protocol(final))


def load_bundle(uri: str) -> Bundle:
    """The bundle at `uri`, every file checked against the manifest.

    Raises:
        BundleError: missing, damaged, made for another vocabulary, or written by an incompatible version.
    """
    fs, root = open_folder(uri)
    manifest = _read_manifest(fs, root)
    contents = _contents(fs, root, manifest["files"])
    item_ids = parse_strings(contents[VOCABULARY], f"{root}/{VOCABULARY}")
    texts = parse_strings(contents[TEXTS], f"{root}/{TEXTS}")
    if vocabulary_hash(item_ids) != manifest["vocabulary_hash"]:
        raise BundleError(f"{root} was fitted over another vocabulary than it holds; restore it or train again")
    if len(set(item_ids)) < len(item_ids) or len(texts) not in (0, len(item_ids)):
        raise BundleError(
            f"{root} names {len(item_ids)} items, {len(set(item_ids))} of them distinct, with {len(texts)} texts: "
            "restore it or train again"
        )
    parts = {
        name: Part(
            name=name,
            kind=entry["kind"],
            config=entry["config"],
            figures=entry["figures"],
            arrays=_arrays(contents[entry["file"]], f"{root}/{entry['file']}"),
        )
        for name, entry in manifest["parts"].items()
    }
    if changed := [name for name, part in parts.items() if part.hash != manifest["parts"][name]["hash"]]:
        raise BundleError(f"part {changed[0]!r} of {root} is not the one that was saved; restore it or train again")
    return Bundle(
        parts=parts,
        default=manifest["default"],
        item_ids=item_ids,
        about=manifest["about"],
        texts=texts,
        uri=uri,
    )


def load_evaluation_bundle(uri: str) -> Bundle:
    """The evaluation bundle of the bundle at `uri`: the one that its manifest names, or itself.

    Raises:
        BundleError: as `load_bundle`.
    """
    bundle = load_bundle(uri)
    if bundle.evaluation_uri is None:
        return bundle
    try:
        return load_bundle(bundle.evaluation_uri)
    except BundleError as error:
        raise BundleError(f"{uri} has learned every event and is measured by its evaluation bundle: {error}") from error


def add_figures(uri: str, figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Adds measured figures of parts to the manifest; nothing else of the bundle changes.

    Raises:
        BundleError: there is no such bundle, or it cannot be written.
    """
    fs, root = open_folder(uri)
    manifest = _read_manifest(fs, root)
    for name, part in manifest["parts"].items():
        part["figures"] |= figures.get(name, {})
    try:
        fs.pipe_file(f"{root}/{MANIFEST}.partial", signed(manifest))
        if is_local(fs):
            make_private(Path(f"{root}/{MANIFEST}.partial"))
        fs.mv(f"{root}/{MANIFEST}.partial", f"{root}/{MANIFEST}")
    except OSError as error:
        raise BundleError(f"{root}/{MANIFEST} not written: {error}; free space, then evaluate again") from error


def read_manifest(uri: str) -> dict[str, Any]:
    """The manifest alone, for listings.

    Raises:
        BundleError: missing or of an incompatible version.
    """
    return _read_manifest(*open_folder(uri))


def _files(bundle: Bundle) -> dict[str, bytes]:
    files = {
        VOCABULARY: json.dumps(bundle.item_ids, ensure_ascii=False).encode(),
        TEXTS: json.dumps(bundle.texts).encode(),
    }
    for part in bundle.parts.values():
        arrays = {name: np.ascontiguousarray(array) for name, array in part.arrays.items()}
        files[f"parts/{part.name}.safetensors"] = write_safetensors(arrays)
    return files


def _manifest(bundle: Bundle, digests: dict[str, str]) -> bytes:
    parts = {
        part.name: {
            "kind": part.kind,
            "config": part.config,
            "hash": part.hash,
            "figures": part.figures,
            "file": f"parts/{part.name}.safetensors",
        }
        for part in bundle.parts.values()
    }
    manifest = {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "default": bundle.default,
        "about": bundle.about,
        "vocabulary_hash": vocabulary_hash(bundle.item_ids),
        "libraries": {name: version(name) for name in LIBRARIES},
    }
    return signed(manifest | {"parts": parts, "files": digests})


def _read_manifest(fs: Any, root: str) -> dict[str, Any]:
    size = check_files(fs, root, [MANIFEST])[MANIFEST]
    return parse_manifest(read_file(fs, root, MANIFEST, size=size), f"{root}/{MANIFEST}")


def _contents(fs: Any, root: str, digests: Mapping[str, str]) -> dict[str, bytes]:
    """What the files hold, by their names, each with the digest that it must have."""
    sizes = check_files(fs, root, digests)
    return {path: _read_checked(fs, root, path, size, digests[path]) for path, size in sizes.items()}


def _read_checked(fs: Any, root: str, path: str, size: int, expected: str) -> bytes:
    content = read_file(fs, root, path, size=size)
    if digest(content) != expected:
        raise BundleError(f"{root}/{path} is damaged: its SHA-256 is not the manifest's; restore it or train again")
    return content


def _arrays(content: bytes, path: str) -> dict[str, NDArray[Any]]:
    try:
        return read_safetensors(content)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:  # the last ones for types that numpy lacks
        raise BundleError(f"{path} is no safetensors file of numpy's types ({error}); train again") from error
