"""Answers about many lists in one file, row for row what the routes answer; memory does not grow with them.

Each chunk of lists is a file of its own until all are there; an interrupted run goes on after the last one.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from recsys.batch.chunks import Run, identity
from recsys.batch.histories import list_entries
from recsys.errors import InputFileError, NothingKnown
from recsys.service import MAX_HISTORY, Recommender
from recsys.service.playlists.questions import ContinuedList, ContinueOptions, SimilarLists, SimilarOptions
from recsys.store import Store
from recsys.store.records import Playlist

LISTS_PER_CHUNK = 1000
"""Answered between two writes."""

ListOptions = ContinueOptions | SimilarOptions
"""What is asked about each list: how it goes on, or which stored ones are like it."""

OWNER, NAME = "playlist_id", "playlist_name"
"""The columns of a file of lists that say of which list an entry is, and what it is called."""

ABOUT = [("score", pa.float32()), ("source", pa.string()), ("bundle", pa.string()), ("degraded", pa.string())]
CONTINUED = pa.schema(
    [(OWNER, pa.string()), ("alternative", pa.int32()), ("rank", pa.int32()), ("item_id", pa.string()), *ABOUT]
)
SIMILAR = pa.schema([(OWNER, pa.string()), ("rank", pa.int32()), ("similar_id", pa.string()), *ABOUT])


@dataclass(frozen=True, slots=True)
class Progress:
    """Lists so far, those of an interrupted run included. `warnings` counts by option the lists for which it was not done as
    asked, as `degraded` says, and those without rows."""

    lists: int
    warnings: Mapping[str, int]


NOTHING, LONG = "nothing known", "too long"
"""Why a list has no rows."""


def score_lists(
    recommender: Recommender, store: Store, out: Path, *, options: ListOptions, histories: Path | None = None
) -> Generator[Progress, None, None]:
    """Writes one row per list and answer (rank 1 is the best), of each alternative; `out` appears when all are done.

    The ending of `out` says of which kind it is. The lists are the playlists of the store, or those of the file `histories` that
    need not be stored: what the importer reads, with playlist_id, item_id, position and, where it has them, playlist_name; a row
    without item_id gives a name alone. A list that a route would refuse, for nothing is known of it or it is too long, has no
    rows. `degraded` is what the route tells.

    Raises:
        InputFileError: the file cannot be read, or `out` cannot be written or has an unknown ending.
        InvalidRequest, NotReady: as the routes.
    """
    schema = SIMILAR if isinstance(options, SimilarOptions) else CONTINUED
    run = Run(out, identity(recommender, options, histories, schema.names), schema)
    lists = _from_file(histories, run.last) if histories else _stored(store, run.last)
    try:
        while chunk := list(islice(lists, LISTS_PER_CHUNK)):
            answers = [_answer(recommender, playlist, options, stored=histories is None) for playlist in chunk]
            rows = [row for answer in answers for row in answer.rows]
            warnings = [option for answer in answers for option in answer.warnings]
            run.add(pa.Table.from_pylist(rows, schema=schema), [playlist.playlist_id for playlist in chunk], warnings)
            yield Progress(run.done, run.warnings)
        run.finish()
    except OSError as error:
        raise InputFileError(
            f"{out} not written: {error}; free space or choose another place, then run again"
        ) from error
    yield Progress(run.done, run.warnings)


def _stored(store: Store, after: str | None) -> Iterator[Playlist]:
    while ids := store.playlist_ids(after=after, limit=LISTS_PER_CHUNK):
        yield from (store.playlist(playlist_id) for playlist_id in ids)
        after = ids[-1]


def _from_file(path: Path, after: str | None) -> Iterator[Playlist]:
    """The lists of a file, in ascending order of their ids."""
    try:
        contents = pl.col(NAME).drop_nulls().first(), pl.col("item_id").drop_nulls()
        lists = list_entries(path).group_by(OWNER, maintain_order=True).agg(contents).sort(OWNER)
        for batch in lists.collect_batches(chunk_size=LISTS_PER_CHUNK):
            for playlist_id, title, item_ids in batch.select(OWNER, NAME, "item_id").iter_rows():
                if after is None or playlist_id > after:
                    yield Playlist(playlist_id=playlist_id, name=title, item_ids=tuple(item_ids))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputFileError(f"{path} cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class _Answer:
    """The rows of one list, and the options that were not done as asked."""

    rows: list[dict[str, Any]]
    warnings: frozenset[str]


def _answer(recommender: Recommender, playlist: Playlist, options: ListOptions, *, stored: bool) -> _Answer:
    if len(playlist.item_ids) > MAX_HISTORY:
        return _Answer([], frozenset([LONG]))
    try:
        answer: ContinuedList | SimilarLists
        if isinstance(options, ContinueOptions):
            answer = recommender.lists.continued(playlist.item_ids, playlist.name, options)
            rows = _continued_rows(answer)
        elif stored:
            answer = recommender.lists.similar_to(playlist.playlist_id, options)
            rows = _similar_rows(answer)
        else:
            answer = recommender.lists.similar(playlist.item_ids, playlist.name, options)
            rows = _similar_rows(answer)
    except NothingKnown:
        return _Answer([], frozenset([NOTHING]))
    reasons = "; ".join(f"{warning.what}: {warning.why}" for warning in answer.degraded) or None
    common = {OWNER: playlist.playlist_id, "bundle": answer.bundle, "degraded": reasons}
    return _Answer([row | common for row in rows], frozenset(warning.what for warning in answer.degraded))


def _continued_rows(answer: ContinuedList) -> list[dict[str, Any]]:
    return [
        {"alternative": number, "rank": rank, "item_id": item.item_id, "score": item.score, "source": item.source}
        for number, alternative in enumerate(answer.alternatives, start=1)
        for rank, item in enumerate(alternative.items, start=1)
    ]


def _similar_rows(answer: SimilarLists) -> list[dict[str, Any]]:
    return [
        {"rank": rank, "similar_id": other.playlist_id, "score": other.score, "source": answer.encoder}
        for rank, other in enumerate(answer.playlists, start=1)
    ]
