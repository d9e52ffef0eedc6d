"""Tables as files of the kind that their ending says, written chunk by chunk."""

import gzip
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.errors import InputFileError

Write = Callable[[Path, pa.Schema, Iterable[pa.Table]], None]
"""Writes tables of a schema as one file."""


def writer_of(out: Path) -> Write:
    """What writes a file with the ending of `out`.

    Raises:
        InputFileError: there is nothing for it.
    """
    for ending, write in WRITERS.items():
        if out.name.lower().endswith(ending):
            return write
    raise InputFileError(f"{out}: unknown kind {out.suffix!r} of result; end it in {', '.join(WRITERS)}")


def _write_parquet(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    with pq.ParquetWriter(path, schema) as writer:
        for table in tables:
            writer.write_table(table)


def _write_text(
    path: Path,
    schema: pa.Schema,
    tables: Iterable[pa.Table],
    *,
    encode: Callable[[pl.DataFrame], str],
    header: Callable[[pl.DataFrame], str] = lambda _: "",
    open_file: Callable[..., Any] = open,
) -> None:
    with open_file(path, "wb") as file:
        file.write(header(pl.DataFrame(schema.empty_table())).encode())
        for table in tables:
            file.write(encode(pl.DataFrame(table)).encode())


def _csv(separator: str, open_file: Callable[..., Any] = open) -> Write:
    return partial(
        _write_text,
        encode=lambda rows: str(rows.write_csv(separator=separator, include_header=False)),
        header=lambda empty: str(empty.write_csv(separator=separator)),
        open_file=open_file,
    )


def _jsonl(open_file: Callable[..., Any] = open) -> Write:
    return partial(_write_text, encode=lambda rows: str(rows.write_ndjson()), open_file=open_file)


WRITERS: dict[str, Write] = {
    ".csv": _csv(","),
    ".csv.gz": _csv(",", gzip.open),
    ".tsv": _csv("\t"),
    ".tsv.gz": _csv("\t", gzip.open),
    ".jsonl": _jsonl(),
    ".jsonl.gz": _jsonl(gzip.open),
    ".parquet": _write_parquet,
}
