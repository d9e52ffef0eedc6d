"""Vectors that were made once and need not be made again while their content stays."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from recsys.store.dialect import chunks, upsert
from recsys.store.tables import vectors

LAYER = -1
"""Of an encoder whose layers cannot be told apart from outside."""


def save_vectors(
    connection: Connection, part_hash: str, made: Mapping[tuple[str, str], NDArray[np.float32]], *, layer: int = LAYER
) -> None:
    """Keeps item vectors after `layer` by (item id, content hash); a newer content replaces the older."""
    key = {"part_hash": part_hash, "layer": layer, "owner": "item"}
    values = [
        key | {"id": item_id, "content_hash": content, "vector": vector.astype("<f4").tobytes()}
        for (item_id, content), vector in made.items()
    ]
    upsert(
        connection,
        vectors,
        values,
        key=("part_hash", "layer", "owner", "id"),
        changing=("content_hash", "vector"),
    )


def load_vectors(
    connection: Connection, part_hash: str, item_ids: Sequence[str], *, layer: int = LAYER
) -> dict[tuple[str, str], NDArray[np.float32]]:
    """The kept vectors of these items after `layer` by (item id, content hash)."""
    c, found = vectors.c, {}
    for part in chunks(item_ids):
        query = select(c.id, c.content_hash, c.vector).where(
            c.part_hash == part_hash, c.layer == layer, c.owner == "item", c.id.in_(part)
        )
        for row in connection.execute(query):
            found[row.id, row.content_hash] = np.frombuffer(row.vector, dtype="<f4").astype(np.float32)
    return found
