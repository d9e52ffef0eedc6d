"""Rows, what bounds them, and the names of their columns: trimmed, renamed, each once."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from recsys.errors import InputFileError
from recsys.importing.report import Row

MAX_VALUE_CHARS = 1_000_000
TOO_LONG = f"too long: a value has more than {MAX_VALUE_CHARS:,} characters; shorten it"
MAX_ROW_CHARS = 8_000_000
ROW_TOO_LONG = f"too long: the row has more than {MAX_ROW_CHARS:,} characters; shorten it"
MAX_COLUMNS = 10_000
ID_COLUMNS = frozenset({"item_id", "user_id", "event_id", "playlist_id"})

Rows = Iterator[Row | ValueError]
"""Rows as dictionaries, and an error in place of a row that cannot be read."""
Reader = Callable[[Path, Sequence[str]], Rows]
"""Gives the rows of a file that has to have certain columns."""


def _ignore(_: str) -> None:
    """Notes that nobody reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How a file is read; `delimiter` and `encoding` are detected where they are None.

    `renames` gives columns of the file our names, `rating_scale` is its best rating (None: told by its largest). `note` receives
    what was detected or changed, a sentence each.
    """

    delimiter: str | None = None
    encoding: str | None = None
    renames: Mapping[str, str] = field(default_factory=dict)
    rating_scale: float | None = None
    note: Callable[[str], None] = _ignore

    def column(self, name: str) -> str:
        """Our name of a column."""
        trimmed = name.strip()
        return self.renames.get(trimmed, trimmed)


DETECT = ReadOptions()


def column_names(path: Path, raw: Sequence[str], needed: Sequence[str], options: ReadOptions) -> list[str]:
    """Our names of the columns `raw` of a table; a column without a name stays without.

    Raises:
        InputFileError: a needed column is missing, two have one name, or there are more than `MAX_COLUMNS`.
    """
    if len(raw) > MAX_COLUMNS:
        raise InputFileError(f"{path} has {len(raw):,} columns, more than {MAX_COLUMNS:,}: leave columns out")
    names = [options.column(name) for name in raw]
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise InputFileError(f"{path} has two columns {twice[0]!r}: rename one, or leave it out")
    check_columns(path, names, needed)
    note_changes(raw, options)
    return names


def note_changes(raw: Sequence[str], options: ReadOptions) -> None:
    """Notes columns whose names were trimmed, columns without a name, and renames of columns that are not there."""
    padded = [name for name in raw if name != name.strip()]
    if padded:
        options.note(f"trimmed the names of columns: {', '.join(map(repr, padded[:10]))}")
    if unnamed := sum(not name.strip() for name in raw):
        options.note(f"left out {unnamed} column{'s' * (unnamed > 1)} without a name")
    trimmed = {name.strip() for name in raw}
    for name in options.renames:
        if name not in trimmed:
            options.note(f"no column {name!r}, which --map names")


def check_columns(path: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    """Raises InputFileError: `columns` lack one of `needed`."""
    missing = [name for name in needed if name not in columns]
    if missing:
        available = ", ".join(map(ascii, columns[:50])) or "none"
        raise InputFileError(
            f"{path} has no column {missing[0]!r}; it has {available}. Name the column that is it: "
            f"--map NAME={missing[0]}"
        )


def id_text(value: Any) -> Any:
    """An id that a typed file holds as a whole number, UUID or bytes, as text. Other values stay as they are."""
    match value:
        case bool():
            return value
        case int() | UUID():
            return str(value)
        case Decimal() if value == value.to_integral_value():
            return str(int(value))
    return value
