"""What users think of their items: verdicts, and the histories that they leave."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.feedback import Signals, verdicts
from recsys.data.history import History
from recsys.signals import SignalTable
from recsys.store.records import HistoryEvent

DAY = 86_400.0
ROWS = {item: row for row, item in enumerate("abcd")}


def history(*events: tuple[str, str] | tuple[str, str, float], gap_days: float = 1, **signals: object) -> History:
    """Of events (item, kind, weight), each in a session of its own."""
    stored = [
        HistoryEvent(event[0], day * gap_days * DAY, event[1], event[2] if len(event) == 3 else 1.0, None)
        for day, event in enumerate(events)
    ]
    return Signals(**signals).history(stored, ROWS.get)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("events", "speaks", "rejected"),
    [
        ([("a", "like"), ("a", "dislike")], [], [0]),
        ([("a", "dislike"), ("a", "like")], [0], []),  # the first says nothing any more
        ([("a", "view"), ("a", "purchase"), ("a", "dislike")], [], [0]),
        ([("a", "dislike"), ("a", "purchase")], [], [0]),  # what was said outright goes before what was done
        ([("a", "view"), ("a", "skip"), ("a", "skip")], [], [0]),
        ([("a", "purchase"), ("a", "skip")], [0], []),
        ([("a", "view"), ("a", "skip")], [], []),  # neither
        ([("a", "dislike"), ("a", "like", 0.0)], [], []),  # taken back
        ([("a", "dislike"), ("a", "like", 0.0), ("a", "view")], [0], []),
        ([("a", "rating", 5.0), ("a", "rating", 1.0)], [], [0]),
        ([("a", "rating", 1.0), ("a", "rating", 5.0)], [0], []),
        ([("a", "rating", 5.0), ("a", "hide")], [], [0]),
        ([("a", "view", -1.0), ("b", "view")], [1], [0]),
        ([("a", "view", 0.0)], [], []),
    ],
)
def test_the_latest_word_decides_and_deeds_add_up(
    events: list[tuple[str, str]], speaks: list[int], rejected: list[int]
) -> None:
    made = history(*events)
    assert (made.rows.tolist(), made.rejected.tolist()) == (speaks, rejected)


def test_a_kind_that_counts_for_nothing_neither_hides_nor_takes_back_what_others_say() -> None:
    table = SignalTable.parse("like=0,hide=0,rating=0")
    bought_and_liked = history(
        ("a", "purchase"), ("a", "like"), ("b", "view"), ("b", "rating", 1.0), gap_days=0, table=table
    )
    assert bought_and_liked.rows.tolist() == [0, 1]
    assert bought_and_liked.weights.tolist() == [4.0, 1.0]
    assert history(("a", "dislike"), ("a", "hide"), table=table).rejected.tolist() == [0]
    assert history(("a", "love"), ("a", "hide"), table=table).rows.tolist() == [0]


def test_liked_and_disliked_at_one_moment_the_later_arrival_decides() -> None:
    made = history(("a", "like"), ("a", "dislike"), ("b", "dislike"), ("b", "like"), gap_days=0)
    assert (made.rows.tolist(), made.rejected.tolist()) == ([1], [0])


def test_a_visit_is_one_event_an_item_and_weighs_by_its_strongest() -> None:
    made = history(("a", "view"), ("b", "view"), ("a", "cart"), ("a", "purchase"), gap_days=0, unit=2.0)
    assert made.rows.tolist() == [1, 0]
    assert made.weights.tolist() == [0.5, 2.0]
    assert made.sessions.tolist() == [0, 0]


def test_items_that_come_again_in_a_session_stay_where_that_is_usual() -> None:
    events = [("a", "listen"), ("b", "listen"), ("a", "listen")]
    assert history(*events, gap_days=0).rows.tolist() == [0, 1]
    assert history(*events, gap_days=0, repeats_in_session=0.5).rows.tolist() == [0, 1, 0]


def test_a_user_with_rejections_only_has_an_empty_history_that_knows_them() -> None:
    made = history(("a", "dislike"), ("b", "skip"))
    assert len(made) == 0
    assert made.rejected.tolist() == [0, 1]
    assert made.last_session is None


def test_the_last_session_is_that_of_the_last_event_that_counts() -> None:
    signals = Signals()
    bought = HistoryEvent("a", 0.0, "purchase", 1.0, "s1")
    disliked = HistoryEvent("b", 10.0, "dislike", 1.0, "s2")
    assert signals.history([bought, disliked], ROWS.get).last_session == "s1"
    assert signals.history([bought, disliked._replace(item_id="gone")], ROWS.get).last_session == "s1"
    assert signals.history([bought, disliked._replace(kind="view")], ROWS.get).last_session == "s2"


def test_cut_to_nothing_a_history_is_empty() -> None:
    made = history(("a", "view"), ("b", "view"), ("c", "dislike"))
    assert len(made.last(0)) == 0
    assert made.last(1).rows.tolist() == [1]
    assert made.last(1).rejected.tolist() == [2]


def test_all_ratings_speak_for_their_items_where_none_is_neutral() -> None:
    made = history(("a", "rating", 0.5), ("b", "rating", 5.0), table=SignalTable(neutral="none"))
    assert (made.rows.tolist(), made.rejected.tolist()) == ([0, 1], [])


Said = tuple[int, int, float, bool]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from([-2.0, -1, 0, 1, 3]), st.booleans())))
def test_verdicts_equal_a_loop(events: list[Said]) -> None:
    events = sorted(events, key=lambda event: event[0])
    owners, rows = np.array([e[0] for e in events], int), np.array([e[1] for e in events], int)
    values, explicit = np.array([e[2] for e in events], float), np.array([e[3] for e in events], bool)
    speaks, rejected = verdicts(rows, values, explicit, owners)

    def verdict(owner: int, row: int) -> float:
        mine = [event for event in events if event[:2] == (owner, row)]
        words = [value for _, _, value, outright in mine if outright]
        deeds = sum(value for _, _, value, outright in mine if not outright)
        return words[-1] if words and words[-1] else deeds

    for i, (owner, row, value, outright) in enumerate(events):
        is_latest = not outright or not any(e[:2] == (owner, row) and e[3] for e in events[i + 1 :])
        assert speaks[i] == (value > 0 and verdict(owner, row) > 0 and is_latest)
    pairs = {event[:2] for event in events}
    assert {tuple(pair) for pair in rejected.tolist()} == {pair for pair in pairs if verdict(*pair) < 0}


@pytest.mark.parametrize("kinds", [("purchase", "like"), ("like", "purchase"), ("view", "purchase", "rating")])
def test_a_like_takes_nothing_from_a_purchase_of_the_same_visit(kinds: tuple[str, ...]) -> None:
    events = [
        HistoryEvent("a", float(at), kind, 4.0 if kind == "rating" else 1.0, "s") for at, kind in enumerate(kinds)
    ]
    assert Signals().history(events, {"a": 0}.get).weights.tolist() == [4.0]


def test_a_dislike_outweighs_a_purchase_of_the_same_visit_and_a_like_without_weight_says_nothing() -> None:
    visit = [HistoryEvent("a", 0.0, "purchase", 1.0, "s"), HistoryEvent("a", 1.0, "dislike", 1.0, "s")]
    history = Signals().history(visit, {"a": 0}.get)
    assert (len(history), history.rejected.tolist()) == (0, [0])
    silent = [visit[0], HistoryEvent("a", 1.0, "like", 0.0, "s")]
    assert Signals().history(silent, {"a": 0}.get).weights.tolist() == [4.0]
