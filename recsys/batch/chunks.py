"""Results in chunks that outlive an interruption."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.batch.outputs import writer_of
from recsys.service import Recommender

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def identity(recommender: Recommender, options: "DataclassInstance", histories: Path | None, *task: Any) -> str:
    """What must be equal for one run to go on where another stopped."""
    bundle = recommender.bundle.uri if recommender.bundle else None
    file = [str(histories.resolve()), histories.stat().st_mtime_ns] if histories and histories.exists() else None
    return json.dumps([bundle, asdict(options), file, *task])


class Run:
    """Chunks of a table of `schema` in a folder beside `out`, and a note of how far they go; the note is replaced after its chunk
    is whole.

    `warnings` counts what was not done as asked, over all chunks.
    """

    def __init__(self, out: Path, identity: str, schema: pa.Schema) -> None:
        """Raises InputFileError: `out` has no ending of a kind of file that can be written."""
        self._out, self._write = out, writer_of(out)
        self._folder, self._identity, self._schema = out.with_name(f".{out.name}.partial"), identity, schema
        self._note = self._folder / "run.json"
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
            shutil.rmtree(self._folder, ignore_errors=True)

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

    def finish(self) -> None:
        """All chunks as one file, of the kind that its ending says; it appears whole."""
        self._folder.mkdir(parents=True, exist_ok=True)
        whole = self._folder / "whole"
        self._write(whole, self._schema, (pq.read_table(self._chunk(number)) for number in range(self._chunks)))
        whole.replace(self._out)
        shutil.rmtree(self._folder)

    def _chunk(self, number: int) -> Path:
        return self._folder / f"{number:06d}.parquet"
