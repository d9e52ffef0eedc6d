"""Vectors that were made once and need not be made again while their content stays."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from recsys.store.dialect import chunks, upsert
from recsys.store.tables import vectors

LAYER = -1
"""Of an encoder whose layers cannot be told apart from outside."""

Owner = Literal["item", "playlist"]
"""What a vector is of."""


def save_vectors(
    connection: Connection,
    part_hash: str,
    made: Mapping[tuple[str, str], NDArray[np.float32]],
    *,
    layer: int = LAYER,
    owner: Owner = "item",
) -> None:
    """Keeps vectors after `layer` by (id, content hash); a newer content replaces the older."""
    key = {"part_hash": part_hash, "layer": layer, "owner": owner}
    values = [
        key | {"id": one, "content_hash": content, "vector": vector.astype("<f4").tobytes()}
        for (one, content), vector in made.items()
    ]
    upsert(
        connection,
        vectors,
        values,
        key=("part_hash", "layer", "owner", "id"),
        changing=("content_hash", "vector"),
    )


def load_vectors(
    connection: Connection, part_hash: str, ids: Sequence[str], *, layer: int = LAYER, owner: Owner = "item"
) -> dict[tuple[str, str], NDArray[np.float32]]:
    """The kept vectors of these items, or playlists, after `layer` by (id, content hash)."""
    c, found = vectors.c, {}
    for part in chunks(ids):
        query = select(c.id, c.content_hash, c.vector).where(
            c.part_hash == part_hash, c.layer == layer, c.owner == owner, c.id.in_(part)
        )
        for row in connection.execute(query):
            found[row.id, row.content_hash] = np.frombuffer(row.vector, dtype="<f4").astype(np.float32)
    return found
