"""Parquet files as rows: every Arrow type as Python holds it, in batches that stay small whatever the file unpacks to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

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

MAX_BATCH_ROWS = 20_000
BATCH_BYTES = 2**25
"""Memory of a batch's values, estimated before they are read."""
SKEWED_ROWS, PREFIXED_ROWS = 1_000, 64
"""Rows of a batch where a few values may have most of the bytes, and where values share prefixes that are stored once."""
BOMB_BYTES, BOMB_RATIO = 2**28, 100
"""A column that unpacks to this much, and to so many times its size, is refused: one page may hold all of it."""
MAX_LIST_VALUES = 1_000_000
"""Values of one row's lists on average."""

Unreadable = dict[int, ValueError]
"""Errors by the row of a batch."""


def read_parquet(path: Path, needed: Sequence[str], *, options: ReadOptions = DETECT) -> Rows:
    """Times to the microsecond; ids that are whole numbers or UUIDs as text.

    Raises:
        InputFileError: no Parquet file, a damaged one, or a needed column is missing.
    """
    try:
        file = pq.ParquetFile(path, coerce_int96_timestamp_unit="us")
    except (pa.ArrowException, OSError) as error:
        raise InputFileError(f"{path} is no Parquet file, or damaged: {_first_line(error)}") from error
    with file:
        names = column_names(path, file.schema_arrow.names, needed, options)
        try:
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(_batch_rows(path, file, group), row_groups=[group]):
                    yield from _rows(batch, names)
        except (pa.ArrowException, OSError) as error:
            raise InputFileError(
                f"{path} is damaged: {_first_line(error)}; get the file again, then import again"
            ) from error


def _batch_rows(path: Path, file: pq.ParquetFile, group: int) -> int:
    """Rows of a batch whose values fit into `BATCH_BYTES`.

    A compressed page, a dictionary or shared prefixes let a small file unpack to gigabytes, so that neither the size of the
    file nor that of its pages is a bound.
    """
    metadata = file.metadata.row_group(group)
    rows, bound, bytes_per_row = max(metadata.num_rows, 1), MAX_BATCH_ROWS, 1.0
    by_dictionary = []
    for index in range(metadata.num_columns):
        chunk = metadata.column(index)
        if chunk.num_values > MAX_LIST_VALUES * rows:
            raise InputFileError(f"{path}: {chunk.path_in_schema!r} has lists of more than {MAX_LIST_VALUES:,} values")
        if chunk.total_uncompressed_size > max(BOMB_BYTES, BOMB_RATIO * chunk.total_compressed_size):
            raise InputFileError(
                f"{path}: {chunk.path_in_schema!r} unpacks to {chunk.total_uncompressed_size >> 20:,} MiB, which is more "
                f"than {BOMB_RATIO} times its size: leave the column out"
            )
        bytes_per_row += max(chunk.total_uncompressed_size, 8 * chunk.num_values) / rows
        if chunk.physical_type == "BYTE_ARRAY":
            if chunk.total_uncompressed_size > BATCH_BYTES:
                bound = min(bound, SKEWED_ROWS)
            if "DELTA_BYTE_ARRAY" in chunk.encodings:
                bound = min(bound, PREFIXED_ROWS)
            if chunk.has_dictionary_page and chunk.total_uncompressed_size * min(rows, bound) > BATCH_BYTES:
                by_dictionary.append((chunk.path_in_schema, chunk.num_values / rows))
        elif chunk.physical_type == "FIXED_LEN_BYTE_ARRAY":
            bytes_per_row += chunk.num_values / rows * file.schema.column(index).length
    if by_dictionary:
        bytes_per_row += _dictionary_bytes(path, group, dict(by_dictionary))
    return max(1, min(bound, int(BATCH_BYTES / bytes_per_row)))


def _dictionary_bytes(path: Path, group: int, values_per_row: dict[str, float]) -> float:
    """Bytes of a row if each of its values is the longest of its column's dictionary, which the first row comes with."""
    with pq.ParquetFile(path, read_dictionary=list(values_per_row)) as file:
        batch = next(file.iter_batches(1, row_groups=[group], columns=list(values_per_row)), None)
        if batch is None:
            return 0.0
        longest = [max(_longest(column), 1) for column in batch.columns]
    return sum(longest) * max(1.0, *values_per_row.values())


def _longest(column: pa.Array) -> int:
    """Bytes of the longest value of all dictionaries in a column."""
    if pa.types.is_dictionary(column.type):
        return pc.max(pc.binary_length(column.dictionary)).as_py() or 0
    if pa.types.is_struct(column.type):
        return max(map(_longest, column.flatten()), default=0)
    if pa.types.is_map(column.type):
        return max(_longest(column.keys), _longest(column.items))
    return _longest(column.values) if pa.types.is_nested(column.type) else 0


def _rows(batch: pa.RecordBatch, names: Sequence[str]) -> Rows:
    unreadable: Unreadable = {}
    named = [(name, column) for name, column in zip(names, batch.columns, strict=True) if name]
    columns = [_values(name, column, unreadable) for name, column in named]
    keys = [name for name, _ in named]
    rows = (dict(zip(keys, values, strict=True)) for values in zip(*columns, strict=True))
    if not unreadable:
        yield from rows
    for number, row in enumerate(rows):
        yield unreadable.get(number) or row


def _values(name: str, column: pa.Array, unreadable: Unreadable) -> list[Any]:
    """The values as Python holds them; None, and an entry in `unreadable`, for those that it cannot hold."""
    column = _shortened(name, _with_known_types(column), unreadable)
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):
        values = [_value(name, scalar, number, unreadable) for number, scalar in enumerate(column)]
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        values = [_decoded(name, value, number, unreadable) for number, value in enumerate(values)]
    return list(map(id_text, values)) if name in ID_COLUMNS and not _is_string(column.type) else values


def _value(name: str, scalar: pa.Scalar, number: int, unreadable: Unreadable) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError, pa.ArrowException) as error:
        unreadable.setdefault(number, ValueError(f"unreadable value: {name} ({scalar.type}): {_first_line(error)}"))
        return None


def _decoded(name: str, value: bytes | None, number: int, unreadable: Unreadable) -> str | None:
    """Text that an older program wrote without saying that it is text."""
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        unreadable.setdefault(number, ValueError(f"binary value: {name} is no text; leave the column out"))
        return None


def _shortened(name: str, column: pa.Array, unreadable: Unreadable) -> pa.Array:
    """The column without its values that are too long, before Python gets a copy of each."""
    if not (_is_string(column.type) or pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        return column
    too_long = pc.greater(pc.binary_length(column), MAX_VALUE_CHARS)
    if not pc.any(too_long).as_py():
        return column
    for number in pc.indices_nonzero(too_long).to_pylist():
        unreadable.setdefault(number, ValueError(f"{TOO_LONG} ({name})"))
    return pc.if_else(too_long, pa.scalar(None, column.type), column)


def _is_string(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _with_known_types(column: pa.Array) -> pa.Array:
    """The column in types that Python knows, as far as Arrow converts it."""
    kind = _known_type(column.type)
    try:
        return column if kind == column.type else column.cast(kind, safe=False)
    except (pa.ArrowException, OSError):
        return column  # each value is then tried by itself


def _known_type(kind: pa.DataType) -> pa.DataType:
    """`kind` with microseconds in place of nanoseconds, UTC in place of other zones, values in place of dictionaries."""
    if pa.types.is_timestamp(kind):
        return pa.timestamp(_known_unit(kind.unit), "UTC" if kind.tz else None)
    if pa.types.is_duration(kind):
        return pa.duration(_known_unit(kind.unit))
    if pa.types.is_time64(kind):
        return pa.time64("us")
    if pa.types.is_dictionary(kind):
        return _known_type(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_known_type(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_known_type(field.type)) for field in kind])
    return kind


def _known_unit(unit: str) -> str:
    return "us" if unit == "ns" else unit


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
