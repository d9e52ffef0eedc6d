"""CSV files as rows. The delimiter is detected by the names of the columns."""

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

from recsys.errors import InputFileError
from recsys.importing.columns import DETECT, MAX_VALUE_CHARS, TOO_LONG, ReadOptions, Rows, column_names
from recsys.importing.report import Row
from recsys.importing.text_files import Lines, open_text

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
DELIMITER_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
"""The first line that Excel writes for itself."""
AFTER_QUOTE, TOO_LARGE = "expected after", "field larger than field limit"
"""What the CSV reader says of text behind a closed quote and of a long value; it goes on with the next line."""


def read_csv(
    path: Path,
    needed: Sequence[str],
    *,
    delimiter: str | None = ",",
    quoted: bool = True,
    options: ReadOptions = DETECT,
) -> Rows:
    """Values are strings, an empty one is None. Not `quoted`, a quotation mark is a character like any other.

    Raises:
        InputFileError: a needed column is missing, or a quote is opened that nothing closes.
    """
    csv.field_size_limit(MAX_VALUE_CHARS)
    with open_text(path, options) as file:
        lines = Lines(file)
        header, delimiter = _header(path, lines, delimiter, needed, options)
        records = _records(path, chain(header, lines), lines, delimiter, quoted=quoted)
        first = next(records, [])
        names = column_names(path, [] if isinstance(first, ValueError) else first, needed, options)
        width, has_unnamed = len(names), "" in names
        for values in records:
            if isinstance(values, ValueError):
                yield values
                continue
            if len(values) > width:
                surplus = f"{values[width:]}"[:200]
                yield ValueError(f"more values than columns: {surplus}; quote a value that holds a {_name(delimiter)}")
                continue
            row: Row = {name: value or None for name, value in zip(names, values, strict=False)}
            row = row if len(values) == width else dict.fromkeys(names) | row
            if has_unnamed:
                del row[""]
            yield row


def _records(
    path: Path, text: Iterator[str], lines: Lines, delimiter: str, *, quoted: bool
) -> Iterator[list[str] | ValueError]:
    """The values of each record, the header included, and an error in place of one that cannot be read."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(text, strict=True, delimiter=delimiter, quoting=quoting)
    number = -1  # the header is no row
    while True:
        number += 1
        values: list[str] | None = []
        try:
            while values == []:  # a blank line is no row
                lines.chars, start = 0, reader.line_num
                values = next(reader, None)
        except ValueError as error:  # of `Lines`
            if reader.line_num > start:
                raise _unclosed(path, number) from error
            yield error
        except csv.Error as error:
            if AFTER_QUOTE not in str(error) and (TOO_LARGE not in str(error) or reader.line_num > start + 1):
                raise _unclosed(path, number) from error
            yield ValueError(TOO_LONG if TOO_LARGE in str(error) else f"no CSV: {error}")
        else:
            if values is None:
                return
            yield values


def _unclosed(path: Path, number: int) -> InputFileError:
    row = f"row {number}" if number else "the header"
    return InputFileError(f"{path}: {row} opens a quote that nothing closes; mend it, then import again")


def _header(
    path: Path, lines: Lines, delimiter: str | None, needed: Sequence[str], options: ReadOptions
) -> tuple[list[str], str]:
    """The first line, if it is one of the table, and the delimiter. One that is no comma is noted."""
    try:
        first = next((line for line in lines if line.strip()), "")
    except ValueError as error:
        raise InputFileError(f"{path}: the first line is {error}") from error
    stated = DELIMITER_LINE.fullmatch(first)
    if delimiter is None:
        delimiter = stated[1] if stated else _detect_delimiter(first, needed, options)
        if delimiter != ",":
            options.note(f"delimiter {_name(delimiter)}, as detected; --delimiter sets another")
    return [] if stated else [first], delimiter


def _detect_delimiter(header: str, needed: Sequence[str], options: ReadOptions) -> str:
    """The one that gives most of the needed columns, of these the one that gives most columns."""

    def fitness(delimiter: str) -> tuple[int, int]:
        names = {options.column(name) for name in next(csv.reader([header], delimiter=delimiter), [])}
        return len(names.intersection(needed)), len(names)

    return max(DELIMITERS, key=fitness)


def _name(delimiter: str) -> str:
    return DELIMITERS.get(delimiter, repr(delimiter))
