"""A text beside a history: what fits both comes first, and the text still decides what is found."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.bundle_io import load_bundle
from recsys.data.history import NO_ROWS, History
from recsys.errors import InvalidRequest
from recsys.retrieval.serving import serving_model
from recsys.retrieval.source import Query
from recsys.retrieval.text_search import SEARCH, SearchWeights, TextSearch
from recsys.retrieval.word_index import WordIndex
from recsys.service import Options, Question, Recommender
from recsys.store.records import EventDraft, ItemDraft
from tests.search.sizes import Served, said
from tests.worlds import Planted

SAME = "xylophone"
"""A title that several items get."""


@pytest.fixture
def same_titles(recommender: Recommender, trained: Planted) -> tuple[str, str]:
    """An item, and its successor in the planted world, which has the same title as an item that succeeds nothing."""
    item, successor = next((a, b) for a, b in trained.world.successor.items() if a != b)
    for item_id in (successor, "other"):
        recommender.put_items([ItemDraft(item_id=item_id, title=SAME)])
    return item, successor


def test_of_equal_titles_the_one_that_fits_the_history_is_first(
    recommender: Recommender, same_titles: tuple[str, str]
) -> None:
    item, successor = same_titles
    answer = recommender.search_text(SAME, history=[item], options=Options(k=2))
    assert [(found.item_id, "markov" in found.sources) for found in answer.items] == [
        (successor, True),
        ("other", False),
    ]
    assert answer.items[0].source == "lexical"
    assert not answer.degraded


def test_a_stored_user_stands_for_the_history(recommender: Recommender, same_titles: tuple[str, str]) -> None:
    item, successor = same_titles
    recommender.add_events([EventDraft(user_id="someone-new", item_id=item)])
    answer = recommender.search_text(SAME, user_id="someone-new", options=Options(k=2))
    assert [found.item_id for found in answer.items] == [successor, "other"]
    assert "markov" in answer.items[0].sources


def test_a_title_is_found_first_whatever_was_seen_and_so_are_items_that_were(served: Served) -> None:
    recommender, _, planted = served
    items = list(planted.world.successor)
    for item_id in items[:5]:
        title = recommender.item(item_id).title
        answer = recommender.search_text(title or "", history=[*items[7:12], item_id], options=Options(k=1))
        assert answer.items[0].title == title
    hidden = Options(k=40, include_seen=False)
    found = recommender.search_text("item", history=items[:3], options=hidden).items
    assert not {item.item_id for item in found} & set(items[:3])


@pytest.mark.parametrize(
    ("beside", "what", "why"),
    [
        ({"user_id": "nobody"}, "user", "no events of user 'nobody': the text alone counts"),
        ({"history": ["no-such-item"]}, "history", "no known item in it: the text alone counts"),
        ({"history": []}, "history", "no known item in it: the text alone counts"),
    ],
)
def test_without_a_history_the_text_alone_counts_and_that_is_said(
    recommender: Recommender, beside: dict[str, object], what: str, why: str
) -> None:
    answer = recommender.search_text("acoustic lute", options=Options(k=3), **beside)  # type: ignore[arg-type]
    assert (answer.degraded[-1].what, answer.degraded[-1].why) == (what, why)
    assert answer.items == recommender.search_text("acoustic lute", options=Options(k=3)).items


def test_a_text_has_a_user_or_a_history_and_no_item_beside_it(recommender: Recommender) -> None:
    for question in (
        Question(text="lute", user_id="ann", history=["lute"]),
        Question(text="lute", item_id="lute"),
    ):
        (answer,) = recommender.answer([question])
        assert isinstance(answer, InvalidRequest)
        assert "a text may have a user or a history beside" in str(answer)


def test_where_nothing_recommends_a_history_does_not_count(store_alone: Recommender) -> None:
    answer = store_alone.search_text("lute", history=["lute"], options=Options(k=1))
    assert [item.sources for item in answer.items] == [("lexical",)]
    assert said(answer) == ["history", "meaning"]


@pytest.mark.parametrize("default", ["text", "lexical"])
def test_taste_is_added_to_what_its_part_says_of_the_text(trained: Planted, default: str) -> None:
    bundle = load_bundle(trained.bundle)
    model, texts = serving_model(replace(bundle, default=default)), [f"item {i}" for i in range(len(bundle.item_ids))]
    search = TextSearch(WordIndex.of(texts), model, "text", SearchWeights(taste=0))
    every, none = np.ones(len(texts), dtype=np.bool_), History.undated(NO_ROWS)
    text = Query(none, every, vector=bundle.parts["text"].arrays["item_vectors"][5], text="item 7")
    beside = replace(text, history=History.undated(np.array([3])))
    alone, taste = (search.search([query], k=5, name=SEARCH)[0] for query in (text, beside))
    assert alone.rows.tolist() == taste.rows.tolist()
    assert alone.scores == pytest.approx(taste.scores)


def test_where_nothing_recommends_a_history_filters_all_the_same(store_alone: Recommender) -> None:
    store_alone.put_items([ItemDraft(item_id="old lute", title="old lute")])
    store_alone.add_events([EventDraft(user_id="ann", item_id="lute", kind="dislike")])
    unseen = Options(k=2, include_seen=False)
    for found in (
        store_alone.search_text("lute", user_id="ann", options=Options(k=2)),
        store_alone.search_text("lute", history=["lute"], options=unseen),
    ):
        assert [item.item_id for item in found.items] == ["old lute"]
    both = store_alone.search_text("lute", history=["lute"], options=Options(k=2)).items
    assert {item.item_id for item in both} == {"lute", "old lute"}
