"""The first sheet of an Excel workbook as rows.

openpyxl reads row by row; faster libraries hold the whole sheet, which two cells far apart make larger than any memory.
"""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from recsys.errors import InputFileError
from recsys.importing.columns import (
    DETECT,
    ID_COLUMNS,
    MAX_VALUE_CHARS,
    TOO_LONG,
    ReadOptions,
    Rows,
    column_names,
    id_text,
)

MAX_SHARED_BYTES = 2**28
"""Of the table of texts, which is read as a whole."""
SHARED_TEXTS = "xl/sharedStrings.xml"
BOMB_BYTES, BOMB_RATIO = 2**26, 200
"""A part this large that unpacks to so many times its size is no sheet that somebody wrote: those reach 30."""
DAMAGE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, SyntaxError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What the library raises for damaged files."""


def read_xlsx(path: Path, needed: Sequence[str], *, options: ReadOptions = DETECT) -> Rows:
    """Numbers, dates and text as the cells have them; ids that are numbers as text. An empty row is none.

    Raises:
        InputFileError: no workbook, a damaged one, the library is missing, or a needed column is.
    """
    try:
        records = _records(path, options)
        names = column_names(path, _header(next(records, ())), needed, options)
        for values in records:
            row = dict.fromkeys(names) | dict(zip(names, values, strict=False))
            row.pop("", None)
            for name in ID_COLUMNS & row.keys():
                row[name] = id_text(row[name])
            is_long = any(isinstance(value, str) and len(value) > MAX_VALUE_CHARS for value in values)
            yield ValueError(TOO_LONG) if is_long else row
    except ImportError as error:
        raise InputFileError(
            "XLSX files need openpyxl: pip install 'recsys[xlsx]', or save the sheet as CSV"
        ) from error
    except InputFileError:
        raise
    except DAMAGE as error:
        raise InputFileError(f"{path} is no XLSX workbook, or damaged: save it again, or as CSV") from error


def _records(path: Path, options: ReadOptions) -> Iterator[tuple[Any, ...]]:
    """The values of each row that is not empty."""
    import openpyxl

    with zipfile.ZipFile(path) as parts:
        if any(map(_is_too_large, parts.infolist())):
            raise InputFileError(f"{path} unpacks to more than is read at once: save the sheet as CSV")
    workbook = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        first, *others = workbook.worksheets
        if others:
            options.note(f"read sheet {first.title!r}; {len(others)} more left out")
        first.reset_dimensions()  # which would pad every row to the cell that is farthest to the right
        for values in first.iter_rows(values_only=True):
            if any(value is not None for value in values):
                yield values
    finally:
        workbook.close()


def _header(values: Sequence[Any]) -> list[str]:
    """The names of the columns; a cell far to the right makes no columns before it."""
    names = ["" if value is None else str(value) for value in values]
    while names and not names[-1]:
        names.pop()
    return names


def _is_too_large(part: zipfile.ZipInfo) -> bool:
    is_bomb = part.file_size > max(BOMB_BYTES, BOMB_RATIO * part.compress_size)
    return is_bomb or (part.filename == SHARED_TEXTS and part.file_size > MAX_SHARED_BYTES)
