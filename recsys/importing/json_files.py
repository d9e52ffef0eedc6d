"""JSON files as rows: one object a line, or one array of objects."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, TextIO

from recsys.errors import InputFileError
from recsys.importing.columns import (
    DETECT,
    MAX_ROW_CHARS,
    MAX_VALUE_CHARS,
    TOO_LONG,
    ReadOptions,
    Rows,
    check_columns,
)
from recsys.importing.report import Row
from recsys.importing.text_files import Lines, open_text

ARRAY = re.compile(r"\s*\[\s*(?=[{\]]|$)")
"""How an array of objects begins; no line of JSONL does."""
BETWEEN = re.compile(r"[\s,]*")
CHARS_PER_READ = 2**20


def read_json(path: Path, needed: Sequence[str], *, options: ReadOptions = DETECT) -> Rows:
    """The objects of an array, or those of lines where the file does not begin with an array.

    Raises:
        InputFileError: the first row lacks a needed column, or an array is damaged.
    """
    with open_text(path, options, only_unicode=True) as file:
        lines, decoder = Lines(file), _Decoder()
        array = ARRAY.match(lines.peek())
        values = _elements(path, file, lines.peek(), array.end(), decoder) if array else _objects(lines, decoder)
        unused = set(options.renames)
        for number, value in enumerate(values):
            row = _row(value, decoder, options)
            if number == 0 and isinstance(row, dict):
                check_columns(path, list(row), needed)
            if unused and isinstance(value, dict):
                unused.difference_update(map(str.strip, value))
            yield row
        for name in unused:
            options.note(f"no column {name!r}, which --map names")


def read_jsonl(path: Path, needed: Sequence[str]) -> Rows:
    """Raises InputFileError: the first row lacks a needed column."""
    return read_json(path, needed)


class _Decoder:
    """A JSON decoder that notices names that an object has twice."""

    def __init__(self) -> None:
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object)
        self.duplicates: list[str] = []

    def at(self, text: str, position: int) -> tuple[Any, int]:
        """The value at `position`, and where it ends. Raises ValueError or RecursionError: there is none."""
        self.duplicates.clear()
        return self._decoder.raw_decode(text, position)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            self.duplicates += (name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        return members


def _objects(lines: Lines, decoder: _Decoder) -> Iterator[Any]:
    """The value of each line that is not blank, and an error in place of one that is no JSON."""
    while True:
        lines.chars = 0
        try:
            line = next(lines, None)
        except ValueError as error:
            yield error
            continue
        if line is None:
            return
        if line := line.strip():
            yield _value(line, decoder)


def _value(line: str, decoder: _Decoder) -> Any:
    try:
        value, end = decoder.at(line, 0)
    except (ValueError, RecursionError):
        return _no_object(line)
    return value if end == len(line) else _no_object(line)


def _elements(path: Path, file: TextIO, text: str, position: int, decoder: _Decoder) -> Iterator[Any]:
    """The elements of an array whose first one begins at `position` of `text`; the rest of `file` follows it."""
    for number in count(1):
        position = _end_of(BETWEEN, text, position)
        while position == len(text):
            text, position = _more(path, file, number), 0
            position = _end_of(BETWEEN, text, position)
        if text[position] == "]":
            return
        while True:
            try:
                value, position = decoder.at(text, position)
                break
            except (ValueError, RecursionError):
                if len(text) - position > MAX_ROW_CHARS:
                    raise _damaged(path, number) from None
                text, position = text[position:] + _more(path, file, number), 0
        yield value


def _end_of(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _more(path: Path, file: TextIO, number: int) -> str:
    """Raises InputFileError: there is none."""
    text = file.read(CHARS_PER_READ)
    if not text:
        raise _damaged(path, number)
    return text


def _damaged(path: Path, number: int) -> InputFileError:
    return InputFileError(f"{path}: the array is broken off or damaged in row {number}; mend it, then import again")


def _row(value: Any, decoder: _Decoder, options: ReadOptions) -> Row | ValueError:
    """The value under our names; an error where it is none, or has a name twice or a value that is too long."""
    if isinstance(value, ValueError):
        return value
    if not isinstance(value, dict):
        return _no_object(str(value))
    row = {options.column(name): entry for name, entry in value.items()}
    if decoder.duplicates or len(row) < len(value):
        names = decoder.duplicates or [name for name, n in Counter(map(options.column, value)).items() if n > 1]
        return ValueError(f"duplicate column: {names[0]!r} has two values; leave one out")
    if any(isinstance(entry, str) and len(entry) > MAX_VALUE_CHARS for entry in row.values()):
        return ValueError(TOO_LONG)
    return row


def _no_object(text: str) -> ValueError:
    return ValueError(f"no JSON object: {text[:200]}")
