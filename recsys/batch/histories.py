"""Files of histories, or of lists, that need not be stored: what the importer reads, in the order that it would have stored."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from math import inf
from pathlib import Path
from typing import Any

import polars as pl

from recsys.errors import InputFileError
from recsys.importing import fields
from recsys.importing.readers import Rows, check_file, reader_of
from recsys.importing.report import Row

ROWS_PER_FRAME = 100_000
"""Rows in memory as dictionaries."""

TIMES = ("at", "timestamp")
"""Columns of times; a file of histories that has one needs no positions."""

USERS = {"user_id": pl.String, "item_id": pl.String, "at": pl.Float64, "position": pl.Int64}
LISTS = {"playlist_id": pl.String, "item_id": pl.String, "playlist_name": pl.String, "position": pl.Int64}

Numbered = tuple[int, Row | ValueError]
Entry = Callable[[Row], tuple[Any, ...]]
"""The values of a row in the order of a schema; a ValueError says why it has none."""


def user_entries(path: Path) -> pl.LazyFrame:
    """The columns `USERS` of a file, user by user: each history by time, then position, then row, as imported events.

    Raises:
        InputFileError: the file cannot be read, has neither positions nor times, or has rows that lack something.
    """
    rows = _rows(path, ("user_id", "item_id"))
    if (first := next(rows, None)) is None:
        return pl.LazyFrame(schema=USERS)
    if isinstance(first, dict) and not any(name in first for name in (*TIMES, "position")):
        columns = ", ".join(map(ascii, first))
        raise InputFileError(f"{path} has no column 'position', and none of times; it has {columns}")
    return _frame(path, chain([first], rows), _user_entry, USERS).sort(
        "user_id", "at", "position", nulls_last=False, maintain_order=True
    )


def list_entries(path: Path) -> pl.LazyFrame:
    """The columns `LISTS` of a file, list by list and by position; a row with a name may do without an item and its position.

    Raises:
        InputFileError: the file cannot be read, lacks a column, or has rows that lack something.
    """
    rows = _rows(path, ("playlist_id", "item_id", "position"))
    return _frame(path, rows, _list_entry, LISTS).sort("playlist_id", "position", maintain_order=True)


def _rows(path: Path, needed: Sequence[str]) -> Rows:
    check_file(path)
    return reader_of(path)(path, needed)


def _frame(path: Path, rows: Rows, entry: Entry, schema: Mapping[str, Any]) -> pl.LazyFrame:
    unreadable, frames, numbered = dict[int, str](), [pl.DataFrame(schema=schema)], enumerate(rows, start=1)
    while chunk := list(islice(numbered, ROWS_PER_FRAME)):
        frames.append(pl.DataFrame(list(_entries(chunk, entry, unreadable)), schema=schema, orient="row"))
    if unreadable:
        first, reason = next(iter(unreadable.items()))
        owner = next(iter(schema))
        raise InputFileError(
            f"{path}: {len(unreadable)} rows lack a {owner}, item_id or position, first row {first}: {reason}; mend them or "
            "take them out"
        )
    return pl.concat(frames).lazy()


def _entries(rows: Sequence[Numbered], entry: Entry, unreadable: dict[int, str]) -> Iterator[tuple[Any, ...]]:
    """The entries of rows. The number of a row without one goes to `unreadable`, with the reason."""
    for number, row in rows:
        try:
            if isinstance(row, ValueError):
                raise row
            fields.content(row)  # refuses what is no Unicode
            yield entry(row)
        except ValueError as error:
            unreadable[number] = str(error)


def _user_entry(row: Row) -> tuple[Any, ...]:
    at, position = row.get("at"), fields.whole(row, "position")
    if position is None and not any(name in row for name in TIMES):
        raise ValueError("missing value: position")
    seconds = fields.seconds(row.get("timestamp") if at is None else at, latest=inf)
    return _identifier(row, "user_id"), _identifier(row, "item_id"), seconds, position


def _list_entry(row: Row) -> tuple[Any, ...]:
    owner, name = _identifier(row, "playlist_id"), fields.text(row, "playlist_name")
    if name is not None and row.get("item_id") is None:
        return owner, None, name, None
    position = fields.whole(row, "position")
    if position is None:
        raise ValueError("missing value: position")
    return owner, _identifier(row, "item_id"), name, position


def _identifier(row: Row, name: str) -> str:
    """The id in the column `name`; a whole number, as Parquet and JSON hold them, stands for its digits."""
    value = row.get(name)
    return str(value) if type(value) is int else fields.identifier(row, name)
