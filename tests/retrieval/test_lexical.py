"""Shared words: TF-IDF against a formula in float64, what counts as a term, new, changed and emptied texts, bounds."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.history import History
from recsys.errors import InvalidRequest
from recsys.retrieval import inverted_index, lexical
from recsys.retrieval.lexical import LexicalConfig, LexicalSource, fit_lexical
from recsys.retrieval.source import Query
from tests.retrieval.worlds import everything, query

TITLES = (
    "Stanley TRA708T Staples",
    "Stanley TRA704T Staples",
    "Arrow T50 Staples",
    "Phillips Screwdriver",
    "Philips Screwdriver Set",
    "",
    "Garden Hose 50 ft",
)
WORDS = st.lists(st.sampled_from(["ale", "Ales", "brown", "BROWN", "café"]), max_size=6).map(" ".join)


def source(titles: Sequence[str] = TITLES, *, decay: float = 0.5, window: int = 20) -> LexicalSource:
    return fit_lexical(titles, LexicalConfig(decay=decay, window=window))


def scores(of: LexicalSource, rows: Sequence[int], *, items: int = len(TITLES)) -> np.ndarray:
    return of.score([query(rows, allowed=items)], everything(1, items=items))[0]


def naive(texts: Sequence[str], history: Sequence[int], weights: Sequence[float]) -> list[float]:
    """Cosines by dictionaries of terms."""
    bags = [Counter(terms(text)) for text in texts]
    frequency = Counter(term for bag in bags for term in bag)
    idf = {term: log((1 + len(texts)) / count) for term, count in frequency.items()}
    vectors = [unit({term: sqrt(n) * idf[term] for term, n in bag.items()}) for bag in bags]
    mean = defaultdict[str, float](float)
    for row, weight in zip(history, weights, strict=True):
        for term, value in vectors[row].items():
            mean[term] += weight * value
    direction = unit(mean)
    return [sum(value * direction.get(term, 0) for term, value in vector.items()) for vector in vectors]


def terms(text: str) -> list[str]:
    words = text.casefold().replace("é", "e").split()
    ngrams = [f" {word} "[i : i + n] for word in words for n in (3, 4, 5) for i in range(len(word) + 3 - n)]
    return [*words, *(f"{a} {b}" for a, b in pairwise(words)), *ngrams]


def unit(vector: dict[str, float]) -> dict[str, float]:
    length = sqrt(sum(value**2 for value in vector.values())) or 1
    return {term: value / length for term, value in vector.items()}


@settings(max_examples=20)
@given(texts=st.lists(WORDS, min_size=3, max_size=8), weights=st.lists(st.floats(0.1, 4), min_size=1, max_size=3))
def test_it_is_the_cosine_of_tf_idf_with_the_weighted_mean_of_the_latest(
    texts: list[str], weights: list[float]
) -> None:
    texts = ["brown ale", *texts]
    rows = [0, *range(1, len(weights))]
    history = History(np.array(rows), np.full(len(rows), np.nan), np.array(weights), np.arange(len(rows)))
    got = source(texts).score([Query(history, np.ones(len(texts), dtype=np.bool_))], everything(1, items=len(texts)))[0]
    ages = [
        sum(bool(texts[row]) for row in rows[i + 1 :]) for i in range(len(rows))
    ]  # texts without a word do not count
    expected = naive(texts, rows, [weight * 0.5**age for weight, age in zip(weights, ages, strict=True)])
    known = ~np.isnan(got)
    np.testing.assert_allclose(got[known], np.array(expected)[known], atol=1e-4)


def test_model_numbers_and_misspelt_brands_are_near() -> None:
    assert scores(source(), [0])[1] > scores(source(), [0])[2] > scores(source(), [0])[6] == 0
    assert scores(source(), [3])[4] > 0.3


def test_an_item_without_a_word_has_no_score_and_says_nothing() -> None:
    assert np.flatnonzero(np.isnan(scores(source(), [0]))).tolist() == [5]
    assert np.isnan(scores(source(), [5])).all()
    np.testing.assert_array_equal(scores(source(), [0, 5]), scores(source(), [0]))


def test_a_written_text_counts_at_once_and_the_source_before_stays_as_it_was() -> None:
    old = source()
    before = scores(old, [0], items=9)
    grown = old.with_texts(np.array([8, 6, 0]), ["Stanley TRA709T Staples", "Arrow T50 Staples", ""])
    after = scores(grown, [1], items=9)
    assert after[8] > 0.5
    assert after[6] == pytest.approx(after[2])
    assert np.isnan(after[[0, 7]]).all()  # emptied, and never written
    np.testing.assert_array_equal(scores(old, [0], items=9), before)


def test_terms_weigh_as_they_did_in_training_whatever_is_written() -> None:
    old = source()
    grown = old.with_texts(np.arange(10, 40), ["Garden Hose"] * 30)
    np.testing.assert_array_equal(scores(grown, [6]), scores(old, [6]))
    np.testing.assert_array_equal(grown.idf, old.idf)


def test_a_word_that_came_after_the_training_weighs_as_the_rarest() -> None:
    grown = source().with_texts(np.array([7, 8, 9]), ["Hose Xylophone", "Xylophone", "Hose"])
    after = scores(grown, [7], items=10)
    assert after[8] > after[9] > 0


def test_many_written_texts_are_searched_as_those_of_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inverted_index, "MAX_CHANGED_ROWS", 3)
    grown = fitted = source()
    for row in range(7, 14):
        grown = grown.with_texts(np.array([row]), [TITLES[row - 7]])
        assert len(grown.index.changed) <= 3
    copies = grown.search([query([0], allowed=14)], k=14)
    originals = fitted.search([query([0], allowed=7)], k=7)
    np.testing.assert_array_equal(copies.rows[0, 0:6:2], originals.rows[0, :3])
    np.testing.assert_allclose(copies.scores[0, 1:7:2], originals.scores[0, :3], rtol=1e-5)


def test_a_term_of_very_many_items_weighs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexical, "MIN_COMMON_ITEMS", 2)
    assert scores(source(), [0])[2] == 0  # "staples" is in three of seven
    assert scores(source(), [0])[1] > 0


def test_only_the_beginning_of_a_text_counts() -> None:
    long = "word " * 60
    same = fit_lexical([long + "hose", long + "staples", "garden hose"], LexicalConfig())
    assert scores(same, [0], items=3)[2] == 0


def test_an_item_is_explained_by_the_nearest_of_the_history() -> None:
    because = source().explain(query([6, 1, 5, 3], allowed=7), np.array([0, 4, 5, 90, -1]))
    assert [[reason.row for reason in reasons] for reasons in because] == [[1], [3], [], [], []]


def test_a_catalogue_without_texts_gives_no_scores() -> None:
    empty = source(["", ""])
    assert np.isnan(scores(empty, [0], items=2)).all()
    assert (empty.search([query([0], allowed=2)], k=2).rows == -1).all()


@pytest.mark.parametrize("out_of_range", [{"decay": 1.5}, {"window": 0}])
def test_settings_out_of_range_are_refused(out_of_range: dict[str, float]) -> None:
    with pytest.raises(InvalidRequest, match="must"):
        LexicalConfig(**out_of_range)  # type: ignore[arg-type]
