"""Answers about many lists in one Parquet file, row for row what the routes answer; memory does not grow with them.

Each piece of lists is a file of its own until all are there; an interrupted run goes on after the last one.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa

from recsys.batch_run import Run, entries, identity
from recsys.errors import InputFileError, NothingKnown
from recsys.service import Recommender
from recsys.service.list_questions import ContinueOptions, SimilarOptions
from recsys.store import Store
from recsys.store.records import Playlist

PIECE = 1000
"""Lists answered between two writes."""

Task = Literal["continue", "similar-lists"]
FOUND = {"continue": "item_id", "similar-lists": "similar_id"}
"""The column that says what was found."""

OWNER, NAME = "playlist_id", "playlist_name"
"""The columns of a file of lists that say of which list an entry is, and what it is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTask:
    """What is asked about each list."""

    task: Task
    k: int = 10
    encoder: str | None = None


def score_lists(
    recommender: Recommender, store: Store, out: Path, *, wanted: ListTask, histories: Path | None = None
) -> Generator[int, None, None]:
    """Writes one row per list and answer (rank 1 is the best); yields the number of lists so far, those of an interrupted run
    included. `out` appears when all are done.

    The lists are the playlists of the store, or those of the file `histories` (CSV, JSONL or Parquet with playlist_id, item_id,
    position and, where it has them, playlist_name), which need not be stored. One of which nothing is known, neither an item
    nor a name, has no rows.

    Raises:
        InputFileError: the file cannot be read, or `out` cannot be written.
        InvalidRequest, NotReady: as the routes.
    """
    run = Run(out.with_name(f".{out.name}.partial"), identity(recommender, wanted, histories), _schema(wanted))
    lists = _sent(histories, run.last) if histories else _stored(store, run.last)
    try:
        while piece := list(islice(lists, PIECE)):
            rows = [row for one in piece for row in _rows(recommender, one, wanted, stored=histories is None)]
            run.add(pa.Table.from_pylist(rows, schema=_schema(wanted)), [one.playlist_id for one in piece])
            yield run.done
        run.finish(out)
    except OSError as error:
        raise InputFileError(
            f"{out} not written: {error}; free space or choose another place, then run again"
        ) from error
    yield run.done


def _schema(wanted: ListTask) -> pa.Schema:
    columns = [(OWNER, pa.string()), ("rank", pa.int32()), (FOUND[wanted.task], pa.string())]
    return pa.schema([*columns, ("score", pa.float32()), ("source", pa.string()), ("bundle", pa.string())])


def _stored(store: Store, after: str | None) -> Iterator[Playlist]:
    while ids := store.playlist_ids(after=after, limit=PIECE):
        yield from (store.playlist(one) for one in ids)
        after = ids[-1]


def _sent(path: Path, after: str | None) -> Iterator[Playlist]:
    """The lists of a file, in ascending order of their ids."""
    try:
        frame = entries(path, owner=OWNER, also=[NAME]).sort(OWNER, "position", maintain_order=True)
        name = pl.col(NAME).first() if NAME in frame.collect_schema() else pl.lit(None, dtype=pl.String).alias(NAME)
        lists = frame.group_by(OWNER, maintain_order=True).agg(name, "item_id").sort(OWNER)
        for batch in lists.collect_batches(chunk_size=PIECE):
            for playlist_id, called, item_ids in batch.select(OWNER, NAME, "item_id").iter_rows():
                if after is None or playlist_id > after:
                    yield Playlist(playlist_id=playlist_id, name=called, item_ids=tuple(item_ids))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputFileError(f"{path} cannot be read: {error}") from error


def _rows(recommender: Recommender, one: Playlist, wanted: ListTask, *, stored: bool) -> list[dict[str, Any]]:
    try:
        found, bundle = _answered(recommender, one, wanted, stored=stored)
    except NothingKnown:
        return []
    columns = (OWNER, "rank", FOUND[wanted.task], "score", "source", "bundle")
    return [
        dict(zip(columns, (one.playlist_id, rank, *told, bundle), strict=True))
        for rank, told in enumerate(found, start=1)
    ]


def _answered(
    recommender: Recommender, one: Playlist, wanted: ListTask, *, stored: bool
) -> tuple[list[tuple[str, float, str]], str | None]:
    """((what was found, score, source) of each answer, the bundle)."""
    if wanted.task == "continue":
        options = ContinueOptions(k=wanted.k, encoder=wanted.encoder)
        answer = recommender.lists.continued(one.item_ids, one.name, options)
        items = answer.alternatives[0].items if answer.alternatives else ()
        return [(item.item_id, item.score, item.source) for item in items], answer.bundle
    asked = SimilarOptions(k=wanted.k, encoder=wanted.encoder)
    if stored:
        like = recommender.lists.similar_to(one.playlist_id, asked)
    else:
        like = recommender.lists.similar(one.item_ids, one.name, asked)
    return [(other.playlist_id, other.score, like.encoder) for other in like.playlists], like.bundle
