"""Answers about many lists in one Parquet file, row for row what the routes answer; memory does not grow with them.

Each piece of lists is a file of its own until all are there; an interrupted run goes on after the last one.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from recsys.batch.chunks import Run, entries, identity
from recsys.errors import InputFileError, NothingKnown
from recsys.service import MAX_HISTORY, Recommender
from recsys.service.playlists.questions import ContinueOptions, SimilarOptions
from recsys.store import Store
from recsys.store.records import Playlist

PIECE = 1000
"""Lists answered between two writes."""

Wanted = ContinueOptions | SimilarOptions
"""What is asked about each list: how it goes on, or which stored ones are like it."""

OWNER, NAME = "playlist_id", "playlist_name"
"""The columns of a file of lists that say of which list an entry is, and what it is called."""

ABOUT = [("score", pa.float32()), ("source", pa.string()), ("bundle", pa.string()), ("degraded", pa.string())]
CONTINUED = pa.schema(
    [(OWNER, pa.string()), ("alternative", pa.int32()), ("rank", pa.int32()), ("item_id", pa.string()), *ABOUT]
)
SIMILAR = pa.schema([(OWNER, pa.string()), ("rank", pa.int32()), ("similar_id", pa.string()), *ABOUT])


@dataclass(frozen=True, slots=True)
class Done:
    """Lists so far, those of an interrupted run included. `told` says of how many each option was not done as asked, as
    `degraded` does, and how many have no rows."""

    lists: int
    told: Mapping[str, int]


NOTHING, LONG = "nothing known", "too long"
"""Why a list has no rows."""


def score_lists(
    recommender: Recommender, store: Store, out: Path, *, wanted: Wanted, histories: Path | None = None
) -> Generator[Done, None, None]:
    """Writes one row per list and answer (rank 1 is the best), of each alternative; `out` appears when all are done.

    The lists are the playlists of the store, or those of the file `histories` (CSV, JSONL or Parquet with playlist_id, item_id,
    position and, where it has them, playlist_name), which need not be stored; a row without item_id gives a name alone. A list
    that a route would refuse, for nothing is known of it or it is too long, has no rows. `degraded` is what the route tells.

    Raises:
        InputFileError: the file cannot be read, or `out` cannot be written.
        InvalidRequest, NotReady: as the routes.
    """
    schema = SIMILAR if isinstance(wanted, SimilarOptions) else CONTINUED
    run = Run(out.with_name(f".{out.name}.partial"), identity(recommender, wanted, histories, schema.names), schema)
    lists = _sent(histories, run.last) if histories else _stored(store, run.last)
    try:
        while piece := list(islice(lists, PIECE)):
            answers = [_answered(recommender, one, wanted, stored=histories is None) for one in piece]
            rows = [row for answer in answers for row in answer.rows]
            told = [what for answer in answers for what in answer.told]
            run.add(pa.Table.from_pylist(rows, schema=schema), [one.playlist_id for one in piece], told)
            yield Done(run.done, run.told)
        run.finish(out)
    except OSError as error:
        raise InputFileError(
            f"{out} not written: {error}; free space or choose another place, then run again"
        ) from error
    yield Done(run.done, run.told)


def _stored(store: Store, after: str | None) -> Iterator[Playlist]:
    while ids := store.playlist_ids(after=after, limit=PIECE):
        yield from (store.playlist(one) for one in ids)
        after = ids[-1]


def _sent(path: Path, after: str | None) -> Iterator[Playlist]:
    """The lists of a file, in ascending order of their ids."""
    try:
        frame = entries(path, owner=OWNER, name=NAME).sort(OWNER, "position", maintain_order=True)
        name = (
            pl.col(NAME).drop_nulls().first()
            if NAME in frame.collect_schema()
            else pl.lit(None, dtype=pl.String).alias(NAME)
        )
        lists = frame.group_by(OWNER, maintain_order=True).agg(name, pl.col("item_id").drop_nulls()).sort(OWNER)
        for batch in lists.collect_batches(chunk_size=PIECE):
            for playlist_id, called, item_ids in batch.select(OWNER, NAME, "item_id").iter_rows():
                if after is None or playlist_id > after:
                    yield Playlist(playlist_id=playlist_id, name=called, item_ids=tuple(item_ids))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputFileError(f"{path} cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class _Answer:
    """The rows of one list, and the options that were not done as asked."""

    rows: list[dict[str, Any]]
    told: frozenset[str]


def _answered(recommender: Recommender, one: Playlist, wanted: Wanted, *, stored: bool) -> _Answer:
    found: list[dict[str, Any]]
    if len(one.item_ids) > MAX_HISTORY:
        return _Answer([], frozenset([LONG]))
    try:
        if isinstance(wanted, ContinueOptions):
            continued = recommender.lists.continued(one.item_ids, one.name, wanted)
            bundle, degraded = continued.bundle, continued.degraded
            found = [
                {
                    "alternative": number,
                    "rank": rank,
                    "item_id": item.item_id,
                    "score": item.score,
                    "source": item.source,
                }
                for number, alternative in enumerate(continued.alternatives, start=1)
                for rank, item in enumerate(alternative.items, start=1)
            ]
        else:
            lists = recommender.lists
            similar = (
                lists.similar_to(one.playlist_id, wanted) if stored else lists.similar(one.item_ids, one.name, wanted)
            )
            bundle, degraded = similar.bundle, similar.degraded
            found = [
                {"rank": rank, "similar_id": other.playlist_id, "score": other.score, "source": similar.encoder}
                for rank, other in enumerate(similar.playlists, start=1)
            ]
    except NothingKnown:
        return _Answer([], frozenset([NOTHING]))
    why = "; ".join(f"{told.what}: {told.why}" for told in degraded) or None
    common = {OWNER: one.playlist_id, "bundle": bundle, "degraded": why}
    return _Answer([row | common for row in found], frozenset(told.what for told in degraded))
