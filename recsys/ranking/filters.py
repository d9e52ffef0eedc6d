"""Which rows an answer may hold."""

from collections.abc import Sequence

import numpy as np

from recsys.data.history import History, Rows
from recsys.retrieval.source import Allowed, Query


def allowed(active: Allowed, *, only: Rows | None = None, without: Sequence[Rows]) -> Allowed:
    """A copy of `active`, of which `only` some rows are kept if they are named, with the rows `without` taken out.

    Rows beyond its end are items newer than this snapshot.
    """
    if only is None:
        kept = active.copy()
    else:
        kept, only = np.zeros_like(active), only[only < len(active)]
        kept[only] = active[only]
    for rows in without:
        kept[rows[rows < len(kept)]] = False
    return kept


def over_catalogue(histories: Sequence[History], *, items: int, include_seen: bool) -> list[Query]:
    """Queries over all `items`, without what each history holds unless `include_seen`: how models are measured."""
    every = np.ones(items, dtype=np.bool_)
    return [Query(past, allowed(every, without=[] if include_seen else [past.rows])) for past in histories]
