"""Vectors of items and playlists, so that unchanged content is encoded once."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from recsys.store.dialect import chunks, upsert
from recsys.store.records import LAST_LAYER, VectorOwner
from recsys.store.tables import vectors


def save_vectors(
    connection: Connection,
    part_hash: str,
    new: Mapping[tuple[str, str], NDArray[np.float32]],
    *,
    layer: int = LAST_LAYER,
    owner: VectorOwner = "item",
) -> None:
    """Stores vectors after `layer` by (id, content hash); those of newer content replace the older. Locks rows by id."""
    key = {"part_hash": part_hash, "layer": layer, "owner": owner}
    values = [
        key | {"id": owner_id, "content_hash": content, "vector": vector.astype("<f4").tobytes()}
        for (owner_id, content), vector in sorted(new.items(), key=lambda entry: entry[0][0])
    ]
    upsert(
        connection,
        vectors,
        values,
        key=("part_hash", "layer", "owner", "id"),
        changing=("content_hash", "vector"),
    )


def load_vectors(
    connection: Connection, part_hash: str, ids: Sequence[str], *, layer: int = LAST_LAYER, owner: VectorOwner = "item"
) -> dict[tuple[str, str], NDArray[np.float32]]:
    """The stored vectors of these items, or playlists, after `layer` by (id, content hash)."""
    c, stored = vectors.c, {}
    for chunk in chunks(ids):
        query = select(c.id, c.content_hash, c.vector).where(
            c.part_hash == part_hash, c.layer == layer, c.owner == owner, c.id.in_(chunk)
        )
        for row in connection.execute(query):
            stored[row.id, row.content_hash] = np.frombuffer(row.vector, dtype="<f4").astype(np.float32)
    return stored
