"""Which rows an answer may hold."""

from collections.abc import Sequence

import numpy as np

from recsys.data.history import History, Rows
from recsys.retrieval.source import Allowed, Query


def allowed(active: Allowed, *, without: Sequence[Rows]) -> Allowed:
    """A copy of `active` with the given rows taken out; rows beyond its end are items newer than this snapshot."""
    kept = active.copy()
    for rows in without:
        kept[rows[rows < len(kept)]] = False
    return kept


def over_catalogue(histories: Sequence[History], *, items: int, include_seen: bool) -> list[Query]:
    """Queries over all `items`, without what each history holds unless `include_seen`: how models are measured."""
    every = np.ones(items, dtype=np.bool_)
    return [Query(past, allowed(every, without=[] if include_seen else [past.rows])) for past in histories]
