"""Answers about many stored lists in one Parquet file, row for row what the routes answer; memory does not grow with them."""

from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.errors import InputFileError
from recsys.service import Recommender
from recsys.service.lists import ContinueOptions, SimilarOptions
from recsys.store import Store

PIECE = 1000
"""Lists answered between two writes."""

Task = Literal["continue", "similar-lists"]
FOUND = {"continue": "item_id", "similar-lists": "similar_id"}
"""The column that says what was found."""


def score_lists(
    recommender: Recommender, store: Store, out: Path, *, task: Task, k: int, encoder: str | None
) -> Generator[int, None, None]:
    """Writes one row per playlist of the store and answer (rank 1 is the best); yields the number of lists so far.

    A list that cannot be asked about, having no items and no name, has no rows. `out` appears when all are done.

    Raises:
        InputFileError: `out` cannot be written.
        InvalidRequest, NotReady: as the routes.
    """
    columns = [("playlist_id", pa.string()), ("rank", pa.int32()), (FOUND[task], pa.string())]
    columns += [("score", pa.float32()), ("source", pa.string()), ("bundle", pa.string())]
    schema, beside = pa.schema(columns), out.with_name(f".{out.name}.partial")
    done, after = 0, None
    try:
        with pq.ParquetWriter(beside, schema) as writer:
            while ids := store.playlist_ids(after=after, limit=PIECE):
                rows = [row for one in ids for row in _rows(recommender, one, task=task, k=k, encoder=encoder)]
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                done, after = done + len(ids), ids[-1]
                yield done
        beside.replace(out)
    except OSError as error:
        raise InputFileError(f"{out} not written: {error}; free space or choose another place") from error
    finally:
        beside.unlink(missing_ok=True)


def _rows(
    recommender: Recommender, playlist_id: str, *, task: Task, k: int, encoder: str | None
) -> list[dict[str, Any]]:
    stored = recommender.lists.stored(playlist_id)
    if not stored.item_ids and not (stored.name or "").strip():
        return []
    if task == "continue":
        options = ContinueOptions(k=k, encoder=encoder)
        answer = recommender.lists.continued(stored.item_ids, stored.name, options)
        found = (
            [(one.item_id, one.score, one.source) for one in answer.alternatives[0].items]
            if answer.alternatives
            else []
        )
        bundle = answer.bundle
    else:
        like = recommender.lists.similar_to(playlist_id, SimilarOptions(k=k, encoder=encoder))
        found, bundle = [(one.playlist_id, one.score, like.encoder) for one in like.playlists], like.bundle
    return [
        {"playlist_id": playlist_id, "rank": rank, FOUND[task]: one, "score": score, "source": source, "bundle": bundle}
        for rank, (one, score, source) in enumerate(found, start=1)
    ]
