"""A layout: names of files, and a reader for each."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from recsys.importing.readers import Reader, Rows

RowReader = Callable[[Path], Rows]
"""Gives the rows of a file in our own columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """For each kind (items, events, playlists) the names of its files as glob patterns, in any case, with their readers.

    `others` are patterns of files that identify a folder without being imported. `hint` ends the message that there is nothing
    of a kind.
    """

    readers: Mapping[str, Mapping[str, RowReader]]
    others: Sequence[str] = field(default=())
    hint: str = ""

    def matches(self, path: Path) -> bool:
        """Whether the name of the file, or of a file in the folder, matches a pattern of this layout."""
        patterns = [*self.others, *(pattern for files in self.readers.values() for pattern in files)]
        if path.is_dir():
            return any(next(path.glob(_any_case(pattern)), None) for pattern in patterns)
        return any(path.match(_any_case(pattern)) for pattern in patterns)

    def files(self, path: Path, kind: str, *, named: bool) -> Iterator[tuple[Path, Reader]]:
        """The files of `kind`, by name. Where the caller `named` the layout, a file may have any name."""
        readers = self.readers.get(kind, {})
        if path.is_dir():
            for pattern, reader in readers.items():
                yield from ((file, partial(_rows, reader)) for file in sorted(path.glob(_any_case(pattern))))
            return
        fits = [reader for pattern, reader in readers.items() if path.match(_any_case(pattern))]
        if fits or (named and readers):
            yield path, partial(_rows, fits[0] if fits else next(iter(readers.values())))


def once(rows: Rows) -> Rows:
    """Each item the first time it occurs, without what the file does not say of it: that stays as it is stored."""
    seen: set[str] = set()
    for row in rows:
        if isinstance(row, ValueError) or not isinstance(item_id := row["item_id"], str):
            yield row
        elif item_id not in seen:
            seen.add(item_id)
            yield {name: value for name, value in row.items() if value is not None}


def _any_case(pattern: str) -> str:
    """The glob pattern for names in upper and lower case: `[mM]3[uU]` for `m3u`."""
    return re.sub("[a-z]", lambda letter: f"[{letter[0]}{letter[0].upper()}]", pattern)


def _rows(reader: RowReader, path: Path, _: Sequence[str]) -> Rows:
    """The readers of a layout check its columns themselves."""
    return reader(path)
