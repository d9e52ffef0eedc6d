"""The reader of a file by its ending."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from recsys.errors import EmptyInputFile, InputFileError
from recsys.importing.columns import DETECT, Reader, ReadOptions, Rows
from recsys.importing.csv_files import read_csv
from recsys.importing.json_files import read_json, read_jsonl
from recsys.importing.parquet_files import read_parquet
from recsys.importing.report import is_report
from recsys.importing.text_files import UNDECODED, plain_name
from recsys.importing.xlsx_files import read_xlsx

__all__ = ["DETECT", "UNDECODED", "ReadOptions", "Reader", "Rows", "check_file", "read_csv", "read_jsonl", "reader_of"]

TEXT_READERS: dict[str, Callable[..., Rows]] = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), read_csv),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), read_json),
}
READERS: dict[str, Callable[..., Rows]] = {**TEXT_READERS, ".parquet": read_parquet, ".xlsx": read_xlsx}
"""Readers of our own columns, by ending. Text may be compressed."""
KINDS = "CSV (.csv, .tsv, .txt), JSON (.json, .jsonl, .ndjson), .parquet or .xlsx"


def suffix(path: Path) -> str:
    """The ending that says how to read a file, without that of its compression."""
    return Path(plain_name(path)).suffix.lower()


def reader_of(path: Path, options: ReadOptions = DETECT) -> Reader:
    """The reader for the ending of `path`.

    Raises:
        InputFileError: there is none.
    """
    reader = READERS.get(suffix(path))
    if reader is None:
        raise InputFileError(f"{path}: unknown kind {path.suffix!r}; give {KINDS}, or name a --layout")
    if reader not in TEXT_READERS.values() and plain_name(path) != path.name:
        raise InputFileError(f"{path}: unpack it first; CSV and JSON alone are read as they are compressed")
    if reader is read_csv:
        return partial(read_csv, delimiter=options.delimiter, options=options)
    return partial(reader, options=options)


def check_file(path: Path) -> None:
    """Raises InputFileError: missing, empty, or a report of an earlier import."""
    if not path.is_file():
        raise InputFileError(f"no such file: {path}")
    if not path.stat().st_size:
        raise EmptyInputFile(f"{path} is empty: nothing to import")
    if is_report(path):
        raise InputFileError(f"{path} is a report of rejected rows: mend them in the file that it names")
