"""What jobs over many users or lists share: files of histories, and results in chunks that outlive an interruption."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.errors import InputFileError
from recsys.service import Recommender

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def entries(path: Path, *, owner: str, name: str | None = None) -> pl.LazyFrame:
    """The columns `owner`, item_id (as text) and position of a CSV, JSONL or Parquet file, and `name` where it has that: a row
    with a name may do without an item and its position.

    Raises:
        InputFileError: the file cannot be read, lacks a column, or has rows without one of the values.
    """
    text = dict.fromkeys((owner, "item_id", *([name] if name else [])), pl.String)
    match path.suffix.lower():
        case ".csv":
            frame = pl.scan_csv(path, schema_overrides=text)
        case ".jsonl" | ".ndjson":
            frame = pl.scan_ndjson(path, schema_overrides=text)
        case ".parquet":
            frame = pl.scan_parquet(path)
        case other:
            raise InputFileError(f"{path}: {other or 'no suffix'} is not read; use .csv, .jsonl or .parquet")
    has = frame.collect_schema()
    missing = [name for name in (owner, "item_id", "position") if name not in has]
    if missing:
        raise InputFileError(f"{path} has no column {missing[0]!r}: {owner}, item_id and position are needed")
    rows = frame.select(
        *(pl.col(name).cast(pl.String) for name in text if name in has), pl.col("position").cast(pl.Int64, strict=False)
    )
    lacking = pl.any_horizontal(pl.col(owner, "item_id", "position").is_null())
    if name is not None and name in has:
        named = pl.col(owner, name).is_not_null() & pl.col("item_id").is_null()
        lacking &= ~pl.all_horizontal(named)
    incomplete, first = rows.select(lacking.sum(), lacking.arg_max().alias("first")).collect().row(0)
    if incomplete:
        raise InputFileError(
            f"{path}: {incomplete} rows lack a {owner}, item_id or position, first row {first + 1}: fill them in, positions as "
            "whole numbers, or take them out"
        )
    return rows


def identity(recommender: Recommender, options: "DataclassInstance", histories: Path | None, *task: Any) -> str:
    """What must be equal for one run to go on where another stopped."""
    bundle = recommender.bundle.uri if recommender.bundle else None
    file = [str(histories.resolve()), histories.stat().st_mtime_ns] if histories and histories.exists() else None
    return json.dumps([bundle, asdict(options), file, *task])


class Run:
    """Chunks of a table of `schema` in a folder and a note of how far they go; the note is replaced after its chunk is whole.

    `warnings` counts what was not done as asked, over all chunks.
    """

    def __init__(self, folder: Path, identity: str, schema: pa.Schema) -> None:
        self._folder, self._identity, self._schema = folder, identity, schema
        self._note = folder / "run.json"
        self.done, self._chunks = 0, 0
        self.last: str | None = None
        self.warnings = Counter[str]()
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            note = {}
        if note.get("identity") == identity:
            self.done, self.last, self._chunks = note["done"], note["last"], note["chunks"]
            self.warnings.update(note.get("warnings", {}))
        else:
            shutil.rmtree(folder, ignore_errors=True)

    def add(self, table: pa.Table, owners: Sequence[str], warnings: Iterable[str] = ()) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, self._chunk(self._chunks))
        self._chunks, self.done, self.last = self._chunks + 1, self.done + len(owners), owners[-1]
        self.warnings.update(warnings)
        partial = self._note.with_suffix(".partial")
        note = {
            "identity": self._identity,
            "done": self.done,
            "last": self.last,
            "chunks": self._chunks,
            "warnings": self.warnings,
        }
        partial.write_text(json.dumps(note), encoding="utf-8")
        partial.replace(self._note)

    def finish(self, out: Path) -> None:
        """All chunks as one file, which appears whole."""
        self._folder.mkdir(parents=True, exist_ok=True)
        whole = self._folder / "whole.parquet"
        with pq.ParquetWriter(whole, self._schema) as writer:
            for number in range(self._chunks):
                writer.write_table(pq.read_table(self._chunk(number)))
        whole.replace(out)
        shutil.rmtree(self._folder)

    def _chunk(self, number: int) -> Path:
        return self._folder / f"{number:06d}.parquet"
