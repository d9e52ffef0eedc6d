"""What a layout is: names of files, and a reader for each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from recsys.importing.readers import Reader, Rows

Read = Callable[[Path], Rows]
"""Gives the rows of a file in our own columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """For each kind (items, events, playlists) the names of its files as glob patterns, with what reads them.

    `others` are names by which a folder is known though nothing of them is imported. `hint` ends the message that there
    is nothing of a kind.
    """

    readers: Mapping[str, Mapping[str, Read]]
    others: Sequence[str] = field(default=())
    hint: str = ""

    def holds(self, path: Path) -> bool:
        """Whether the name of the file, or of a file in the folder, is one of this layout."""
        patterns = [*self.others, *(pattern for files in self.readers.values() for pattern in files)]
        if path.is_dir():
            return any(next(path.glob(pattern), None) for pattern in patterns)
        return any(path.match(pattern) for pattern in patterns)

    def files(self, path: Path, kind: str, *, named: bool) -> Iterator[tuple[Path, Reader]]:
        """The files of `kind`, by name. A file that the caller `named` the layout of may be called otherwise."""
        readers = self.readers.get(kind, {})
        if path.is_dir():
            for pattern, read in readers.items():
                yield from ((one, partial(_rows, read)) for one in sorted(path.glob(pattern)))
            return
        fits = [read for pattern, read in readers.items() if path.match(pattern)]
        if fits or (named and readers):
            yield path, partial(_rows, fits[0] if fits else next(iter(readers.values())))


def _rows(read: Read, path: Path, _: Sequence[str]) -> Rows:
    """A layout looks after its columns itself."""
    return read(path)
