"""The files of a bundle, on this machine or behind any fsspec URL. What is read was looked at first.

A local folder that somebody else made can hold links to files elsewhere, pipes that never end, and files larger than memory.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec

from recsys.errors import BundleError
from recsys.manifest import MANIFEST, TEXTS, VOCABULARY

MAX_BYTES = {MANIFEST: 2**24, VOCABULARY: 2**30, TEXTS: 2**30}
MAX_BUNDLE_BYTES = 2**34
"""Of all files together. They are held in memory as a whole."""


def open_folder(uri: str) -> tuple[Any, str]:
    """The file system of `uri` and the path on it.

    Raises:
        BundleError: no file system knows such a URI, or its own cannot be reached.
    """
    try:
        fs, root = fsspec.url_to_fs(uri)
    except Exception as error:  # each file system has errors of its own
        raise BundleError(
            f"{uri} cannot be opened: {_one_line(error)}; name a folder, or a URL whose file system is installed"
        ) from error
    return fs, root


def is_local(fs: Any) -> bool:
    """Whether `fs` is that of this machine."""
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def check_files(fs: Any, root: str, paths: Iterable[str]) -> dict[str, int]:
    """The size in bytes of each of `paths`, none of which was opened.

    Raises:
        BundleError: one is missing, no regular file, outside `root`, or larger than a bundle's may be.
    """
    sizes = {path: _checked_size(fs, root, path) for path in paths}
    if (total := sum(sizes.values())) > MAX_BUNDLE_BYTES:
        raise BundleError(f"{root} has {total:,} bytes, a bundle at most {MAX_BUNDLE_BYTES:,}; train with fewer parts")
    return sizes


def read_file(fs: Any, root: str, path: str, *, size: int) -> bytes:
    """The first `size` bytes of a file that `check_files` has seen.

    Raises:
        BundleError: it cannot be read.
    """
    try:
        content: bytes = fs.cat_file(f"{root}/{path}", end=size)
    except Exception as error:  # each file system has errors of its own
        raise BundleError(f"{root}/{path} cannot be read: {_one_line(error)}; restore it or train again") from error
    return content


def discard(fs: Any, folder: str) -> None:
    """Deletes the files of a failed save, as far as that can be done."""
    with suppress(OSError):
        fs.rm(folder, recursive=True)


def _checked_size(fs: Any, root: str, path: str) -> int:
    full = f"{root}/{path}"
    info = _info(fs, root, path)
    if info["type"] != "file":
        raise BundleError(f"{full} is no regular file; restore it or train again")
    if is_local(fs) and not Path(full).resolve().is_relative_to(Path(root).resolve()):
        raise BundleError(f"{full} is a link out of the bundle's folder; copy the file there")
    limit = MAX_BYTES.get(path, MAX_BUNDLE_BYTES)
    if (size := info["size"]) is None:
        raise BundleError(f"{full} does not say how long it is; copy the bundle into a local folder")
    if size > limit:
        raise BundleError(f"{full} has {size:,} bytes, it may have {limit:,}; restore it or train again")
    return int(size)


def _info(fs: Any, root: str, path: str) -> dict[str, Any]:
    try:
        info: dict[str, Any] = fs.info(f"{root}/{path}")
    except FileNotFoundError as error:
        if path == MANIFEST:
            raise BundleError(
                f"no bundle at {root}: {MANIFEST} is missing; train one with `recsys train blend`"
            ) from error
        raise BundleError(f"{root}/{path} is missing; restore it or train again") from error
    except Exception as error:  # each file system has errors of its own
        raise BundleError(f"{root}/{path} cannot be read: {_one_line(error)}") from error
    return info


def _one_line(error: Exception) -> str:
    return f"{' '.join(str(error).split()) or type(error).__name__:.300}"
