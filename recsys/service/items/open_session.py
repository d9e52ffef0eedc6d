"""Which events of a history are of a session that goes on when a question is asked."""

import time

import numpy as np

from recsys.data.feedback import Signals
from recsys.data.history import History
from recsys.data.sessions import LONGEST_GAP
from recsys.errors import Degraded
from recsys.service.items.questions import MAX_HISTORY, Options, Question
from recsys.service.state.snapshot import Snapshot


def open_events_of(history: History, options: Options, signals: Signals, *, now: float) -> int:
    """How many events at the end are of the open session: that of `options.session_id`, or the last one until its gap has passed.

    No session goes on after `LONGEST_GAP`, whatever its id. `now` is in epoch seconds.
    """
    if not len(history):
        return 0
    since = abs(now - np.fmax(history.at[-1], history.last_at))  # NaN where the last event is undated
    if options.session_id is None:
        goes_on = since <= signals.gap
    else:
        goes_on = history.last_session == options.session_id and not since > LONGEST_GAP
    return history.events_of_session(history.sessions[-1]) if goes_on else 0


def with_session(
    snapshot: Snapshot, question: Question, history: History, degraded: list[Degraded]
) -> tuple[History, int]:
    """The history with the items that `question` sends of a session, and how many of its last events are of the open session.

    Warnings of unknown items are added to `degraded`.
    """
    now = time.time()
    open_events = open_events_of(history, question.options, snapshot.signals, now=now)
    if not question.session:
        return history, open_events
    degraded += snapshot.unknown(question.session, what="session", why="unknown items left out")
    rows = snapshot.catalogue.rows(question.session)[-MAX_HISTORY:]
    history = history.last(max(MAX_HISTORY - len(rows), 1))
    open_events = min(open_events, len(history))
    return history.then(rows, at=now, same_session=open_events > 0), open_events + len(rows)
