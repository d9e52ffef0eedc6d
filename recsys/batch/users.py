"""Scores many users into one Parquet file, row for row what the route answers.

Users are read, scored and written a piece at a time, so memory does not grow with their number. Each piece is a file of its
own until all are there; an interrupted run goes on after the last one.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from recsys.batch.chunks import Run, entries, identity
from recsys.data.history import History
from recsys.errors import InputFileError
from recsys.service import MAX_HISTORY, Degraded, Options, Recommender
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

User = tuple[str, History, bool]
"""An id, the history, and whether something of it is unknown."""

UNKNOWN = "history"
"""What `Done.told` calls users of whose history not all is known."""


@dataclass(frozen=True, slots=True)
class Done:
    """Users written so far, those of an interrupted run included. `told` says of how many something was not done as asked."""

    users: int
    told: Mapping[str, int]


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
    run = Run(parts, identity(recommender, options, histories), SCHEMA)
    users = _sent(recommender, histories, run.last) if histories else _stored(recommender, store, run.last)
    try:
        while piece := list(islice(users, PIECE)):
            blocks = [_table(recommender, piece[i : i + BLOCK], options) for i in range(0, len(piece), BLOCK)]
            run.add(
                pa.concat_tables(blocks), [user for user, *_ in piece], [UNKNOWN for *_, unknown in piece if unknown]
            )
            yield Done(run.done, run.told)
        run.finish(out)
    except OSError as error:
        raise InputFileError(
            f"{out} not written: {error}; free space or choose another place, then run again"
        ) from error
    yield Done(run.done, run.told)


def _table(recommender: Recommender, users: Sequence[User], options: Options) -> pa.Table:
    """The answers of some users, column by column."""
    found, why = recommender.search([history for _, history, _ in users], options)
    item_ids, real = recommender.catalogue.item_ids, found.rows >= 0
    users_of = np.repeat(np.arange(len(users)), real.sum(axis=1))
    bundle = recommender.bundle.uri if recommender.bundle else None
    columns = [
        pa.array([user for user, *_ in users], pa.string()).take(pa.array(users_of)),
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
        yield from ((user, past, False) for user, past in zip(page, recommender.stored_histories(page), strict=True))
        after = page[-1]


def _sent(recommender: Recommender, path: Path, after: str | None) -> Iterator[User]:
    try:
        frame = entries(path, owner="user_id").sort("user_id", "position", maintain_order=True)
        histories = frame.group_by("user_id", maintain_order=True).agg("item_id").sort("user_id")
        for batch in histories.collect_batches(chunk_size=PIECE):
            for user, item_ids in batch.iter_rows():
                if after is None or user > after:  # both compare code points
                    degraded = list[Degraded]()
                    past = recommender.sent_history(item_ids[-MAX_HISTORY:], degraded)  # as much as of a stored user
                    yield user, past, bool(degraded)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputFileError(f"{path} cannot be read: {error}") from error
