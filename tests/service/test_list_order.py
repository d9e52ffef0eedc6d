"""Where the order of a list is free, it changes nothing; else it does."""

from collections.abc import Iterator
from random import Random

import numpy as np
import pytest

from recsys.data.continuation_cases import Order
from recsys.data.history import History
from recsys.retrieval.lists.sparse import ListQuery
from recsys.retrieval.registry import capabilities
from recsys.service import Recommender
from recsys.service.playlists.questions import ContinuedList, ContinueOptions
from recsys.store import Store
from tests.worlds import Planted


@pytest.fixture(scope="module")
def recommender(trained: Planted) -> Iterator[Recommender]:
    store = Store.open(trained.url)
    recommender = Recommender(store)
    yield recommender
    recommender.close()
    store.close()


def lists(recommender: Recommender, *, size: int) -> list[list[str]]:
    """100 lists of `size` distinct items."""
    random, items = Random(0), recommender.catalogue.item_ids
    return [random.sample(items, size) for _ in range(100)]


def content(answer: ContinuedList) -> list[list[object]]:
    """Items, scores, sources and reasons."""
    return [list(alternative.items) for alternative in answer.alternatives]


def changed(recommender: Recommender, *, order: Order, size: int) -> int:
    """How many of 200 answers change when their list is reversed or shuffled."""
    random, options = Random(1), ContinueOptions(k=5, alternatives=2, order=order, explain=True)
    count = 0
    for items in lists(recommender, size=size):
        answer = content(recommender.lists.continued(items, None, options))
        for other in (items[::-1], random.sample(items, size)):
            count += content(recommender.lists.continued(other, None, options)) != answer
    return count


@pytest.mark.slow
@pytest.mark.parametrize("size", [3, 10])
def test_no_answer_changes_with_an_order_that_is_free(recommender: Recommender, size: int) -> None:
    assert changed(recommender, order="free", size=size) == 0


@pytest.mark.slow
def test_answers_change_with_an_order_that_counts(recommender: Recommender) -> None:
    assert changed(recommender, order="sensitive", size=10) > 100


def test_a_source_says_the_same_of_a_long_list_and_its_reverse_if_and_only_if_it_does_not_use_order(
    recommender: Recommender,
) -> None:
    items = len(recommender.catalogue.item_ids)
    rows, every = np.repeat(np.arange(10), 30), np.arange(items)[None]
    queries = [ListQuery(History.undated(order), np.ones(items, dtype=np.bool_)) for order in (rows, rows[::-1])]
    for name, source in recommender._live.snapshot.lists.sources.items():
        one, other = (source.score([query], every) for query in queries)
        assert np.allclose(one, other, rtol=1e-4, equal_nan=True) != capabilities(source.kind).order, name


def test_a_source_that_uses_order_has_no_say_where_it_is_free(recommender: Recommender) -> None:
    items = recommender.catalogue.item_ids[:6]
    free, sensitive = (
        {
            name
            for item in recommender.lists.continued(items, None, ContinueOptions(order=order)).alternatives[0].items
            for name in item.sources
        }
        for order in ("free", "sensitive")
    )
    assert sensitive - free == {"markov"}
    assert free
