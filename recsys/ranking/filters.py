"""Masks of the rows that an answer may contain."""

from collections.abc import Sequence

import numpy as np

from recsys.data.history import NO_ROWS, History, Rows
from recsys.data.splits import EvalCases
from recsys.retrieval.source import Allowed, Query


def allowed(recommendable: Allowed, *, only: Rows | None = None, without: Sequence[Rows]) -> Allowed:
    """A copy of `recommendable` without the rows `without`, and without all but the rows `only` if there are any.

    Rows beyond its end are items newer than this snapshot.
    """
    if only is None:
        mask = recommendable.copy()
    else:
        mask, only = np.zeros_like(recommendable), only[only < len(recommendable)]
        mask[only] = recommendable[only]
    for rows in without:
        mask[rows[rows < len(mask)]] = False
    return mask


def over_catalogue(cases: EvalCases, *, items: int, include_seen: bool) -> list[Query]:
    """Queries over all `items`, without those of the history unless `include_seen`: the protocol of the evaluation.

    What a user rejected is left out, and so are the items of the open session where the cases say so.
    """
    every, queries = np.ones(items, dtype=np.bool_), list[Query]()
    for history, open_events in zip(cases.histories, cases.open_events.tolist(), strict=True):
        seen = (
            history.rows if not include_seen else open_rows(history, open_events) if cases.leave_out_open else NO_ROWS
        )
        queries.append(Query(history, allowed(every, without=[seen, history.rejected]), open_events=open_events))
    return queries


def open_rows(history: History, open_events: int) -> Rows:
    """The items of the last `open_events` events."""
    return history.rows[len(history) - open_events :]
