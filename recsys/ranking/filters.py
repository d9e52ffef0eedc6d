"""Masks of the rows that an answer may contain."""

from collections.abc import Sequence

import numpy as np

from recsys.data.history import History, Rows
from recsys.retrieval.source import Allowed, Query


def allowed(active: Allowed, *, only: Rows | None = None, without: Sequence[Rows]) -> Allowed:
    """A copy of `active` without the rows `without`, and without all but the rows `only` if there are any.

    Rows beyond its end are items newer than this snapshot.
    """
    if only is None:
        mask = active.copy()
    else:
        mask, only = np.zeros_like(active), only[only < len(active)]
        mask[only] = active[only]
    for rows in without:
        mask[rows[rows < len(mask)]] = False
    return mask


def over_catalogue(histories: Sequence[History], *, items: int, include_seen: bool) -> list[Query]:
    """Queries over all `items`, without those of the history unless `include_seen`: the protocol of the evaluation."""
    every = np.ones(items, dtype=np.bool_)
    return [Query(history, allowed(every, without=[] if include_seen else [history.rows])) for history in histories]
