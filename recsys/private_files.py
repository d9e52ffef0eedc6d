"""Files that their owner alone may read: histories of people, and what was learned from them."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

FILE, FOLDER, OTHERS = 0o600, 0o700, 0o077


@contextmanager
def private_umask() -> Iterator[None]:
    """Within, every new file and folder of the process is private: for a command, since all threads share this."""
    before = os.umask(OTHERS)
    try:
        yield
    finally:
        os.umask(before)


def open_private(path: Path, mode: str = "w", **options: Any) -> IO[Any]:
    """As `path.open(mode)`, for writing: a new file is private from its first byte on, and one that exists becomes so."""
    return open(path, mode, opener=_opener, **options)


def make_private(path: Path) -> None:
    """Takes away what others may do with the file or folder at `path`, unless it is missing, read-only or not ours."""
    with suppress(OSError):
        mode = path.stat().st_mode
        if mode & OTHERS and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            path.chmod(stat.S_IMODE(mode) & ~OTHERS)


def make_tree_private(folder: Path) -> None:
    """`make_private` of `folder` and of all in it."""
    for path in (folder, *folder.rglob("*")):
        make_private(path)


def _opener(path: str, flags: int) -> int:
    handle = os.open(path, flags, FILE)
    with suppress(PermissionError):  # somebody else's file that we may write
        if stat.S_ISREG(os.fstat(handle).st_mode):
            os.fchmod(handle, FILE)
    return handle
