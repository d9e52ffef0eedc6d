"""What was acknowledged is there after a kill -9. `make bench NAME=strength ROW=kill` kills 200 times on each database."""

import pytest

from recsys.store import Store
from recsys.store.records import EventDraft, ItemDraft
from tests.killing import Said, kills, lost


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_the_server_is_killed(database_url: str) -> None:
    found = list(kills(database_url, times=4, seed=0))
    assert [kill.lost for kill in found] == [[]] * 4
    assert all(kill.acknowledged for kill in found)


def test_a_loss_would_be_seen(store: Store) -> None:
    store.put_items([ItemDraft(item_id="a", title="A"), ItemDraft(item_id="b", title="B")])
    store.add_events([EventDraft(user_id="u", item_id="a", event_id=one) for one in ("kept", "back", "half")])
    store.put_playlist("p", None, ["a"])
    assert list(lost(store, Said({"kept": "u"}, ["gone"], {"a": "A"}, {"p": ["a"]}, [["x", "y"]]))) == []
    said = Said({"kept": "v", "gone": "u"}, ["back"], {"a": "other"}, {"p": ["a", "b"]}, [["half", "other"]])
    assert list(lost(store, said)) == [
        "event kept",
        "event gone",
        "deletion of event back",
        "half of events ['half', 'other']",
        "item a",
        "playlist p",
    ]
