"""Scores many users into one file, row for row what the route answers.

Users are read, scored and written a chunk at a time, so memory does not grow with their number. Each chunk is a file of its own
until all are there; an interrupted run goes on after the last one.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from recsys.batch.chunks import Run, identity
from recsys.batch.histories import user_entries
from recsys.data.history import History
from recsys.errors import InputFileError
from recsys.service import MAX_HISTORY, Degraded, Options, Recommender
from recsys.store import Store

USERS_PER_CHUNK = 2000
"""Read and written at once: a row group of the result."""

USERS_PER_BLOCK = 250
"""Scored at once: bounds the flags of the rows that are allowed for each."""

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
"""What `Progress.warnings` calls users of whose history not all is known."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Users written so far, those of an interrupted run included. `warnings` counts users with something not done as asked."""

    users: int
    warnings: Mapping[str, int]


def recommend_all(
    recommender: Recommender, store: Store, out: Path, *, options: Options, histories: Path | None = None
) -> Generator[Progress, None, None]:
    """Writes `out` with one row per user and item (rank 1 is the best), for all users of the store in ascending order.

    The ending of `out` says of which kind it is. With `histories` (what the importer reads, with user_id, item_id and position,
    or times) for the users of that file, who need not be stored. Yields after each chunk; `out` appears when all are done.

    Raises:
        InputFileError: the file cannot be read, lacks a column, or `out` cannot be written or has an unknown ending.
        InvalidRequest: an option is out of range.
    """
    run = Run(out, identity(recommender, options, histories), SCHEMA)
    users = _from_file(recommender, histories, run.last) if histories else _stored(recommender, store, run.last)
    try:
        while chunk := list(islice(users, USERS_PER_CHUNK)):
            blocks = [
                _table(recommender, chunk[i : i + USERS_PER_BLOCK], options)
                for i in range(0, len(chunk), USERS_PER_BLOCK)
            ]
            warnings = [UNKNOWN for *_, unknown in chunk if unknown]
            run.add(pa.concat_tables(blocks), [user for user, *_ in chunk], warnings)
            yield Progress(run.done, run.warnings)
        run.finish()
    except OSError as error:
        raise InputFileError(
            f"{out} not written: {error}; free space or choose another place, then run again"
        ) from error
    yield Progress(run.done, run.warnings)


def _table(recommender: Recommender, users: Sequence[User], options: Options) -> pa.Table:
    """The answers of some users, column by column."""
    ranking = recommender.rank_users([(user, history) for user, history, _ in users], options)
    item_ids, real = recommender.catalogue.item_ids, ranking.rows >= 0
    users_of = np.repeat(np.arange(len(users)), real.sum(axis=1))
    bundle = recommender.bundle.uri if recommender.bundle and options.model is None else None
    columns = [
        pa.array([user for user, *_ in users], pa.string()).take(pa.array(users_of)),
        real.cumsum(axis=1, dtype=np.int32)[real],
        pa.array([item_ids[row] for row in ranking.rows[real].tolist()], pa.string()),
        ranking.scores[real],
        pa.array([source for of_user in ranking.attributions for source, _ in of_user], pa.string()),
        pa.repeat(pa.scalar(bundle, pa.string()), len(users_of)),
    ]
    return pa.Table.from_arrays(
        [pa.array(column) if isinstance(column, np.ndarray) else column for column in columns], schema=SCHEMA
    )


def _stored(recommender: Recommender, store: Store, after: str | None) -> Iterator[User]:
    while page := store.users(after=after, limit=USERS_PER_CHUNK):
        histories = recommender.stored_histories(page)
        yield from ((user, history, False) for user, history in zip(page, histories, strict=True))
        after = page[-1]


def _from_file(recommender: Recommender, path: Path, after: str | None) -> Iterator[User]:
    try:
        histories = user_entries(path).group_by("user_id", maintain_order=True).agg("item_id").sort("user_id")
        for batch in histories.collect_batches(chunk_size=USERS_PER_CHUNK):
            for user, item_ids in batch.iter_rows():
                if after is None or user > after:  # both compare code points
                    degraded = list[Degraded]()
                    last = item_ids[-MAX_HISTORY:]  # as much as of a stored user
                    yield user, recommender.history_of_items(last, degraded), bool(degraded)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputFileError(f"{path} cannot be read: {error}") from error
