"""Whether the last session of a user goes on when a question is asked."""

import pytest

from recsys.data.feedback import Signals
from recsys.service.items.open_session import open_events_of
from recsys.service.items.questions import Options
from recsys.store.records import HistoryEvent

SIGNALS = Signals(gap=1800.0)
ROWS = {"a": 0, "b": 1}


def open_events(*events: tuple[str, float], now: float, session_id: str | None = None) -> int:
    """Of views (item, second) with this session id."""
    stored = [HistoryEvent(item, at, "view", 1.0, session_id) for item, at in events]
    return open_events_of(SIGNALS.history(stored, ROWS.get), Options(session_id=session_id), SIGNALS, now=now)


@pytest.mark.parametrize(("now", "expected"), [(3200.0, 2), (3400.0, 0)])
def test_a_session_goes_on_from_its_last_view_though_the_first_of_the_item_counts(now: float, expected: int) -> None:
    assert open_events(("a", 0.0), ("b", 100.0), ("a", 1500.0), now=now) == expected


@pytest.mark.parametrize(("now", "expected"), [(3600.0, 1), (2 * 86_400.0, 0)])
def test_an_id_that_never_changes_does_not_keep_a_session_open(now: float, expected: int) -> None:
    assert open_events(("a", 0.0), now=now, session_id="device-7") == expected
