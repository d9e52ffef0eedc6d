"""No request makes the service fail. `make bench NAME=strength ROW=fuzz` sends 20,000."""

import re

import pytest
from fastapi import FastAPI

from api.app import create_app
from recsys.service import Recommender
from recsys.store import Store
from recsys.store.records import EventDraft, ItemDraft
from tests.api.fuzzing import Fuzzed, fuzz
from tests.worlds import Planted

EACH = 6

UNTRAINED = "/readyz|/v1/search|/v1/playlists/.*(similar|continue)"
"""What answers 503 while nothing is trained."""


@pytest.mark.slow
def test_no_made_up_request_fails(served: tuple[Recommender, Store, Planted]) -> None:
    recommender, store, planted = served
    known = [*list(planted.world.successor)[:3], *store.users(limit=2)]
    assert last(create_app(recommender), known).failures == []


@pytest.mark.slow
def test_nor_over_either_database(store: Store) -> None:
    store.put_items([ItemDraft(item_id=entry, title=entry) for entry in ("a", "b")])
    store.add_events([EventDraft(user_id="u", item_id="a")])
    store.put_playlist("p", "Mine", ["a", "b"])
    recommender = Recommender(store)
    try:
        result = last(create_app(recommender), ["a", "b", "u", "p"])
    finally:
        recommender.close()
    # Nothing is trained, so these are 503 by right.
    assert [entry for entry in result.failures if not re.search(UNTRAINED, entry)] == []


def last(app: FastAPI, known: list[str]) -> Fuzzed:
    *_, result = fuzz(app, each=EACH, known=known)
    assert {status // 100 for (_, status) in result.statuses} >= {2, 4}
    return result
