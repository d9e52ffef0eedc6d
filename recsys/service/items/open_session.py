"""Which events of a history are of a session that goes on when a question is asked."""

from recsys.data.feedback import Signals
from recsys.data.history import History
from recsys.service.items.questions import Options


def open_events_of(history: History, options: Options, signals: Signals, *, now: float) -> int:
    """How many events at the end are of the open session: that of `options.session_id`, or the last one until its gap has passed.

    `now` is in epoch seconds.
    """
    if not len(history):
        return 0
    if options.session_id is None:
        goes_on = abs(now - history.at[-1]) <= signals.gap  # False where the last event is undated
    else:
        goes_on = history.last_session == options.session_id
    return history.events_of_session(history.sessions[-1]) if goes_on else 0
