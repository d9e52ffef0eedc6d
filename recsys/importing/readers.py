"""CSV, JSONL and Parquet files as rows, one at a time; a row that cannot be read is rejected by itself."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.errors import InputFileError
from recsys.importing.report import Row

UNDECODED = "surrogateescape"
"""Bytes that are not UTF-8 become lone surrogates, which `recsys.importing.fields.content` finds."""
AFTER_QUOTE = "expected after"
"""What the CSV reader says of text behind a closed quote; it goes on with the next line. Its other errors swallow the file."""
PARQUET_ROWS_PER_BATCH = 20_000

Rows = Iterator[Row | ValueError]
"""Rows as dictionaries, and an error in place of a row that cannot be read."""
Reader = Callable[[Path, Sequence[str]], Rows]
"""Gives the rows of a file that has to have certain columns."""


def reader_of(path: Path) -> Reader:
    """The reader for the ending of `path`.

    Raises:
        InputFileError: there is none.
    """
    reader = {".csv": read_csv, ".jsonl": read_jsonl, ".parquet": read_parquet}.get(path.suffix.lower())
    if reader is None:
        raise InputFileError(f"{path}: unknown kind {path.suffix!r}; give .csv, .jsonl or .parquet, or name a --layout")
    return reader


def check_file(path: Path) -> None:
    """Raises InputFileError: missing or empty."""
    if not path.is_file():
        raise InputFileError(f"no such file: {path}")
    if not path.stat().st_size:
        raise InputFileError(f"{path} is empty: nothing to import")


def read_csv(path: Path, needed: Sequence[str], *, delimiter: str = ",", quoted: bool = True) -> Rows:
    """Values are strings, an empty one is None. Not `quoted`, a quotation mark is a character like any other.

    Raises:
        InputFileError: a needed column is missing, or a quote is opened that nothing closes.
    """
    with path.open(encoding="utf-8-sig", errors=UNDECODED, newline="") as file:
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
        reader = csv.reader(file, strict=True, delimiter=delimiter, quoting=quoting)
        names = next(reader, [])
        check_columns(path, names, needed)
        width = len(names)
        for number in count(1):
            try:
                values = next(reader, None)
                while values == []:  # a blank line is no row
                    values = next(reader, None)
            except csv.Error as error:
                if AFTER_QUOTE not in str(error):
                    raise InputFileError(
                        f"{path}: row {number} opens a quote that nothing closes; mend it, then import again"
                    ) from error
                yield ValueError(f"no CSV: {error}")
                continue
            if values is None:
                return
            if len(values) > width:
                yield ValueError(f"more values than columns: {values[width:]}; quote a value that holds a comma")
                continue
            row: Row = {name: value or None for name, value in zip(names, values, strict=False)}
            yield row if len(values) == width else dict.fromkeys(names) | row


def read_jsonl(path: Path, needed: Sequence[str]) -> Rows:
    """Raises InputFileError: the first row lacks a needed column."""
    with path.open(encoding="utf-8-sig", errors=UNDECODED) as file:
        lines = (line for line in file if line.strip())
        for number, line in enumerate(lines):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                yield ValueError(f"no JSON object: {line[:200]}")
                continue
            if number == 0:
                check_columns(path, list(row), needed)
            yield row


def read_parquet(path: Path, needed: Sequence[str]) -> Rows:
    """Raises InputFileError: no Parquet file, or a needed column is missing."""
    try:
        with pq.ParquetFile(path) as file:
            check_columns(path, file.schema_arrow.names, needed)
            for batch in file.iter_batches(PARQUET_ROWS_PER_BATCH):
                yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise InputFileError(f"{path} is no Parquet file: {error}") from error


def check_columns(path: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    """Raises InputFileError: `columns` lack one of `needed`."""
    missing = [name for name in needed if name not in columns]
    if missing:
        raise InputFileError(f"{path} has no column {missing[0]!r}; it has {', '.join(map(ascii, columns)) or 'none'}")
