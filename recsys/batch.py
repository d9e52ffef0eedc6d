"""Scores many users into one Parquet file, row for row what the route answers.

Users are read, scored and written a piece at a time, so memory does not grow with their number. Each piece is a file of its
own until all are there; an interrupted run goes on after the last one.
"""

import json
import shutil
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.data.history import History
from recsys.errors import InputFileError
from recsys.service import MAX_HISTORY, Options, Recommender
from recsys.store import Store

PIECE = 2000
"""Users read and written at once: a row group of the result."""

BLOCK = 250
"""Users scored at once: bounds the flags of what each may be shown."""

SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("bundle", pa.string()),
    ]
)

User = tuple[str, History]


@dataclass(frozen=True, slots=True)
class Done:
    """Users written so far, those of an interrupted run included."""

    users: int


def recommend_all(
    recommender: Recommender, store: Store, out: Path, *, options: Options, histories: Path | None = None
) -> Generator[Done, None, None]:
    """Writes `out` with one row per user and item (rank 1 is the best), for all users of the store in ascending order.

    With `histories` (CSV, JSONL or Parquet with user_id, item_id, position) for the users of that file, who need not be
    stored. Yields after each piece; `out` appears when all are done.

    Raises:
        InputFileError: the file cannot be read, lacks a column, or `out` cannot be written.
        InvalidRequest: an option is out of range.
    """
    parts = out.with_name(f".{out.name}.partial")
    run = _Run(parts, _identity(recommender, options, histories))
    users = _sent(recommender, histories, run.last) if histories else _stored(recommender, store, run.last)
    try:
        while piece := list(islice(users, PIECE)):
            blocks = [_table(recommender, piece[i : i + BLOCK], options) for i in range(0, len(piece), BLOCK)]
            run.add(pa.concat_tables(blocks), [user for user, _ in piece])
            yield Done(run.users)
        run.finish(out)
    except OSError as error:
        raise InputFileError(
            f"{out} not written: {error}; free space or choose another place, then run again"
        ) from error
    yield Done(run.users)


def _table(recommender: Recommender, users: Sequence[User], options: Options) -> pa.Table:
    """The answers of some users, column by column."""
    found, why = recommender.search([history for _, history in users], options)
    item_ids, real = recommender.catalogue.item_ids, found.rows >= 0
    users_of = np.repeat(np.arange(len(users)), real.sum(axis=1))
    bundle = recommender.bundle.uri if recommender.bundle else None
    columns = [
        pa.array([user for user, _ in users], pa.string()).take(pa.array(users_of)),
        real.cumsum(axis=1, dtype=np.int32)[real],
        pa.array([item_ids[row] for row in found.rows[real].tolist()], pa.string()),
        found.scores[real],
        pa.array([source for reasons in why for source, _ in reasons], pa.string()),
        pa.repeat(pa.scalar(bundle, pa.string()), len(users_of)),
    ]
    return pa.Table.from_arrays(
        [pa.array(column) if isinstance(column, np.ndarray) else column for column in columns], schema=SCHEMA
    )


def _stored(recommender: Recommender, store: Store, after: str | None) -> Iterator[User]:
    while page := store.users(after=after, limit=PIECE):
        yield from zip(page, recommender.stored_histories(page), strict=True)
        after = page[-1]


def _sent(recommender: Recommender, path: Path, after: str | None) -> Iterator[User]:
    try:
        frame = _scan(path)
        if incomplete := frame.select(pl.any_horizontal(pl.all().is_null()).sum()).collect().item():
            raise InputFileError(
                f"{path}: {incomplete} rows lack a user_id, item_id or position: fill them in or take them out"
            )
        frame = frame.sort("user_id", "position", maintain_order=True)
        histories = frame.group_by("user_id", maintain_order=True).agg("item_id").sort("user_id")
        for batch in histories.collect_batches(chunk_size=PIECE):
            for user, item_ids in batch.iter_rows():
                if after is None or user > after:  # both compare code points
                    yield user, recommender.sent_history(item_ids[-MAX_HISTORY:], [])  # as much as of a stored user
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputFileError(f"{path} cannot be read: {error}") from error


def _scan(path: Path) -> pl.LazyFrame:
    """The columns user_id, item_id (as text) and position of the file."""
    text = {"user_id": pl.String, "item_id": pl.String}
    match path.suffix.lower():
        case ".csv":
            frame = pl.scan_csv(path, schema_overrides=text)
        case ".jsonl" | ".ndjson":
            frame = pl.scan_ndjson(path, schema_overrides=text)
        case ".parquet":
            frame = pl.scan_parquet(path)
        case other:
            raise InputFileError(f"{path}: {other or 'no suffix'} is not read; use .csv, .jsonl or .parquet")
    missing = [name for name in ("user_id", "item_id", "position") if name not in frame.collect_schema()]
    if missing:
        raise InputFileError(f"{path} has no column {missing[0]!r}: user_id, item_id and position are needed")
    return frame.select(*(pl.col(name).cast(pl.String) for name in text), pl.col("position").cast(pl.Int64))


def _identity(recommender: Recommender, options: Options, histories: Path | None) -> str:
    """What must be equal for one run to go on where another stopped."""
    bundle = recommender.bundle.uri if recommender.bundle else None
    file = [str(histories.resolve()), histories.stat().st_mtime_ns] if histories and histories.exists() else None
    return json.dumps([bundle, asdict(options), file])


class _Run:
    """Pieces in a folder and a note of how far they go; the note is replaced after its piece is whole."""

    def __init__(self, folder: Path, identity: str) -> None:
        self._folder, self._identity = folder, identity
        self._note = folder / "run.json"
        self.users, self._pieces = 0, 0
        self.last: str | None = None
        try:
            held = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            held = {}
        if held.get("identity") == identity:
            self.users, self.last, self._pieces = held["users"], held["last"], held["pieces"]
        else:
            shutil.rmtree(folder, ignore_errors=True)

    def add(self, table: pa.Table, users: Sequence[str]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, self._piece(self._pieces))
        self._pieces, self.users, self.last = self._pieces + 1, self.users + len(users), users[-1]
        beside = self._note.with_suffix(".partial")
        note = {"identity": self._identity, "users": self.users, "last": self.last, "pieces": self._pieces}
        beside.write_text(json.dumps(note), encoding="utf-8")
        beside.replace(self._note)

    def finish(self, out: Path) -> None:
        """All pieces as one file, which appears whole."""
        self._folder.mkdir(parents=True, exist_ok=True)
        whole = self._folder / "whole.parquet"
        with pq.ParquetWriter(whole, SCHEMA) as writer:
            for number in range(self._pieces):
                writer.write_table(pq.read_table(self._piece(number)))
        whole.replace(out)
        shutil.rmtree(self._folder)

    def _piece(self, number: int) -> Path:
        return self._folder / f"{number:06d}.parquet"
