"""Which rows an answer may hold."""

from collections.abc import Sequence

from recsys.data.history import Rows
from recsys.retrieval.source import Allowed


def allowed(active: Allowed, *, without: Sequence[Rows]) -> Allowed:
    """A copy of `active` with the given rows taken out; rows beyond its end are items newer than this snapshot."""
    kept = active.copy()
    for rows in without:
        kept[rows[rows < len(kept)]] = False
    return kept
