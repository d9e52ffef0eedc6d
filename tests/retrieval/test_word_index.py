"""The index of words: cosines of titles and shares of words, alike whether texts came at once or one by one."""

from collections import Counter
from math import log, sqrt

import numpy as np
import pytest

from recsys.retrieval import word_index
from recsys.retrieval.word_index import WordIndex

TEXTS = [
    "title: Garden Hose Reel | brand: Gardena",
    "title: Garden Hose | brand: Hozelock | description: Rubber, 25 m; fits every tap",
    "title: Steel Staples",
    "brand: Gardena",
    "",
    "title: Hose Garden",
]


def terms(title: str) -> Counter[str]:
    """The terms of a title of plain words, by a loop of its own."""
    marked = f" {title.lower()} "
    grams = [marked[i : i + n] for n in (3, 4) for i in range(len(marked)) if i + n <= len(marked)]
    return Counter(title.lower().split() + grams)


@pytest.mark.parametrize("query", ["garden hose", "gardn hose", "steel"])
def test_titles_are_compared_by_the_cosine_of_their_weighted_terms(query: str) -> None:
    titles = ["Garden Hose Reel", "Garden Hose", "Steel Staples", "", "", "Hose Garden"]
    bags = [terms(title) if title else Counter[str]() for title in titles]
    having = Counter(term for bag in bags for term in bag)

    def vector(bag: Counter[str]) -> dict[str, float]:
        weighed = {term: sqrt(n) * log(7 / max(having[term], 1)) for term, n in bag.items()}
        length = sqrt(sum(weight**2 for weight in weighed.values())) or 1
        return {term: weight / length for term, weight in weighed.items()}

    asked = vector(terms(query))
    naive = [sum(asked.get(term, 0) * weight for term, weight in vector(bag).items()) for bag in bags]
    np.testing.assert_allclose(WordIndex.of(TEXTS).title_cosines(query), naive, atol=1e-5)


def test_the_words_of_all_attributes_count_by_how_rare_they_are() -> None:
    coverage = WordIndex.of(TEXTS).coverage("gardena rubber brand")
    rubber, gardena, unknown = log(7), log(7 / 2), log(7)
    np.testing.assert_allclose(
        coverage, np.array([gardena, rubber, 0, gardena, 0, 0]) / (rubber + gardena + unknown), atol=1e-6
    )
    assert WordIndex.of(TEXTS).coverage("garden hose")[:2] == pytest.approx(1)


def test_a_title_is_its_own_best_match_whatever_the_order_of_its_words() -> None:
    index = WordIndex.of(TEXTS)
    assert int(index.title_cosines("garden hose").argmax()) == 1
    assert int(index.title_cosines("hose garden").argmax()) == 5
    assert int(index.title_cosines("GÁRDEN, hose!").argmax()) == 1


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [2, 0, 5, 1, 4, 3]])
def test_texts_that_came_one_by_one_are_found_as_if_at_once(order: list[int]) -> None:
    index = WordIndex.of(["title: something else"] * 6)
    for row in order:
        index = index.with_texts(np.array([row]), [TEXTS[row]])
    whole = WordIndex.of(TEXTS)
    for query in ("garden hose", "gardena", "stapels"):
        np.testing.assert_allclose(index.title_cosines(query), whole.title_cosines(query), atol=1e-6)
        np.testing.assert_allclose(index.coverage(query), whole.coverage(query), atol=1e-6)


def test_few_changes_among_many_rows_count_without_all_being_laid_out_again() -> None:
    many = [f"title: Lamp number {row}" for row in range(200)]
    before = WordIndex.of(many)
    index = before.with_texts(np.array([7, 201]), ["title: Garden Hose | brand: Gardena", "title: Garden Hose"])
    assert index.titles.by_term is before.titles.by_term
    assert (len(index), index.title_cosines("garden hose").argsort()[-2:].tolist()) == (202, [7, 201])
    assert np.flatnonzero(index.coverage("gardena")).tolist() == [7]
    emptied = index.with_texts(np.array([7]), [""])
    assert emptied.title_cosines("garden hose")[7] == 0
    assert emptied.title_cosines("garden hose")[201] == pytest.approx(1, abs=1e-5)
    assert not before.coverage("gardena").any()


def test_a_text_that_did_not_change_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    index = WordIndex.of(TEXTS)
    monkeypatch.setattr(word_index, "_bags", None)
    assert index.with_texts(np.arange(6), TEXTS) is index


@pytest.mark.parametrize("query", ["", "?!", "xyzzy"])
def test_a_query_that_shares_nothing_fits_nothing(query: str) -> None:
    index = WordIndex.of(TEXTS)
    assert not index.title_cosines(query).any()
    assert not index.coverage(query).any()
    assert len(WordIndex.of(()).coverage(query)) == 0
