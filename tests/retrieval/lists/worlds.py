"""A few named lists over a small catalogue, small enough to check by hand."""

from collections.abc import Sequence

import numpy as np

from recsys.data.dataset import Dataset
from recsys.data.history import History
from recsys.data.playlists import Playlists
from recsys.retrieval.lists.sparse import ListQuery

ARTISTS = ("Prince", "Prince", "Prince", "José González", "José González", "Lit", "Lit", None)
"""Of each item; the last of each artist stands in no list."""
LISTS = {"Road trip": [0, 3, 7], "road-trip!": [0, 3, 7], "Driving": [0, 1], "Lit": [3, 5], "zzz": [7]}
ITEMS = len(ARTISTS)


def playlists(lists: dict[str, list[int]] = LISTS) -> Playlists:
    rows = [np.array(one, dtype=np.int64) for one in lists.values()]
    whole = np.concatenate(rows)
    data = Dataset(
        item_ids=tuple(f"item-{row}" for row in range(ITEMS)),
        texts=("",) * ITEMS,
        users=tuple(lists),
        starts=np.concatenate([[0], np.cumsum([len(one) for one in rows])]).astype(np.int64),
        rows=whole,
        at=np.full(len(whole), np.nan),
        folds=np.zeros(len(whole), dtype=np.uint8),
    )
    attributes = tuple({} if artist is None else {"artist": artist, "year": 1999} for artist in ARTISTS)
    return Playlists(data=data, names=tuple(lists), attributes=attributes)


def list_query(name: str | None, rows: Sequence[int] = (), *, vector: Sequence[float] | None = None) -> ListQuery:
    return ListQuery(
        History.undated(np.array(rows, dtype=np.int64)),
        np.ones(ITEMS, dtype=np.bool_),
        name=name,
        name_vector=None if vector is None else np.array(vector, dtype=np.float32),
    )
