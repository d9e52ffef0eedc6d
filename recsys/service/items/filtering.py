"""Which items an answer may contain: of what was asked and of what the user did."""

from recsys.data.history import NO_ROWS, History
from recsys.errors import InvalidRequest
from recsys.ranking.filters import allowed, open_rows
from recsys.retrieval.source import Query
from recsys.service.items.questions import MAX_K, Options
from recsys.service.state.snapshot import Snapshot


def filtered_query(
    snapshot: Snapshot, history: History, options: Options, *, part: str, user_id: str | None, open_events: int
) -> Query:
    """The query of `part` after `history`, among the items that `options` and the rules of the bundle allow.

    Raises:
        InvalidRequest: `k` is out of range.
    """
    if not 1 <= options.k <= MAX_K:
        raise InvalidRequest(f"k={options.k}: ask for 1 to {MAX_K} items")
    include_seen = snapshot.include_seen if options.include_seen is None else options.include_seen
    include_open = not snapshot.signals.leave_out_open if options.include_open is None else options.include_open
    seen = history.rows if not include_seen else NO_ROWS if include_open else open_rows(history, open_events)
    without = [seen] if options.include_rejected else [seen, history.rejected]
    if options.exclude:
        without.append(snapshot.catalogue.rows(options.exclude))
    only = None if options.allow is None else snapshot.catalogue.rows(options.allow)
    flags = allowed(snapshot.catalogue.recommendable, only=only, without=without)
    if snapshot.texts and snapshot.items.answers_only_by_text(part):
        flags = snapshot.texts.with_text(flags)
    return Query(history, flags, user_id=user_id, open_events=open_events)
