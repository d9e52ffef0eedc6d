"""Weights of the sources that continue lists: fitted where there are lists, equal where there are none."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from recsys.data.continuation_cases import continuation_cases
from recsys.data.playlists import Playlists, playlists, split_playlists
from recsys.errors import BundleError
from recsys.metrics.continuation import figures
from recsys.retrieval.lists.continuation import SizeConditionedFusion
from recsys.retrieval.lists.sparse import ListQuery
from recsys.retrieval.popular import PopularConfig, fit_popular
from recsys.retrieval.source import StoredSource
from recsys.store import Store
from recsys.training.lists.fusion import MIN_CASES, FusionExample, fit_continuation, fit_weights, list_queries
from recsys.training.lists.sources import ListInputs, fit_list_markov
from tests.worlds import Planted


@pytest.fixture
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seven validation lists of the planted store fit weights."""
    monkeypatch.setattr("recsys.training.lists.fusion.MIN_CASES", 2)


@pytest.fixture(scope="module")
def folds(trained: Planted):  # type: ignore[no-untyped-def]
    store = Store.open(trained.url)
    yield split_playlists(playlists(store, seed=0))
    store.close()


def popular_and_markov(fit: Playlists) -> dict[str, StoredSource]:
    popular = fit_popular(fit.data, PopularConfig(), kind="list-popular")
    return {"popular": popular, "markov": fit_list_markov(ListInputs(lists=fit, seed=0))}


@pytest.mark.usefixtures("few_are_enough")
def test_the_source_that_finds_more_weighs_more_and_a_size_without_cases_stays_equal(folds) -> None:  # type: ignore[no-untyped-def]
    sources = popular_and_markov(folds.fit)
    fitted = fit_continuation(sources, folds.validation, seed=0)
    popular, markov = fitted.fusion(5, "sensitive").weights[:2]
    assert markov > popular
    np.testing.assert_array_equal(fitted.fusion(100, "sensitive").weights, [1, 1, 0, 0, 0, 0])
    assert fitted.fusion(1, "sensitive").weights.tolist() == fitted.fusion(2, "sensitive").weights.tolist()
    assert fitted.fusion(0, "sensitive").weights.tolist() != fitted.fusion(1, "sensitive").weights.tolist()


def test_a_source_that_uses_order_weighs_nothing_where_it_is_free(folds) -> None:  # type: ignore[no-untyped-def]
    sources = popular_and_markov(folds.fit)
    fitted = fit_continuation(sources, folds.validation, seed=0)
    for size in (0, 1, 5, 100):
        weights = fitted.fusion(size, "free").weights.reshape(3, 2)
        assert weights[:, 0].any()
        assert not weights[:, 1].any()
    without = fitted.fusion(5, "free", without={"markov"})
    assert without.sources == ("popular",)
    alone = fit_continuation({"popular": sources["popular"]}, folds.validation, seed=0)
    assert without.weights.tolist() == alone.fusion(5, "free").weights.tolist()


@pytest.mark.usefixtures("few_are_enough")
def test_figures_are_of_lists_that_the_weights_were_not_fitted_on(folds) -> None:  # type: ignore[no-untyped-def]
    sources = popular_and_markov(folds.fit)
    both = fit_continuation(sources, folds.validation, seed=0)
    popular = fit_continuation({"popular": sources["popular"]}, folds.validation, seed=0)
    higher, lower = (fusion.figures["validation_r_precision"] for fusion in (both, popular))
    assert higher.keys() == {"0", "1", "5"}  # of ten items no more can be shown
    for size in ("1", "5"):
        cases = continuation_cases(folds.validation, seeds=int(size), order="sensitive", seed=0)
        assert higher[size]["lists"] == len(cases)
        assert higher[size]["mean"] > lower[size]["mean"]
        queries = list_queries(cases, items=folds.validation.data.items)
        rows = sources["popular"].search(queries, k=500).rows  # one source has one order, whatever it weighs
        assert lower[size]["mean"] == pytest.approx(figures(rows, cases.targets).r_precision.mean())
    assert both.part("lists/continue").figures == both.figures
    assert SizeConditionedFusion.from_part(both.part("lists/continue")).figures == both.figures


def test_a_handful_of_lists_moves_no_weight(folds) -> None:  # type: ignore[no-untyped-def]
    fitted = fit_continuation(popular_and_markov(folds.fit), folds.validation, seed=0)
    assert 0 < len(folds.validation) < MIN_CASES
    for size in (0, 1, 5):
        np.testing.assert_array_equal(fitted.fusion(size, "sensitive").weights, [1, 1, 0, 0, 0, 0])
        assert fitted.sole_source(size, "sensitive") is None


def test_cases_show_the_first_items_or_any_and_withhold_all_others(folds) -> None:  # type: ignore[no-untyped-def]
    lists = [rows for rows in folds.fit.rows() if len(np.unique(rows)) > 3]
    first, random = (continuation_cases(folds.fit, seeds=3, order=order, seed=1) for order in ("sensitive", "free"))
    assert any(a.rows.tolist() != b.rows.tolist() for a, b in zip(first.seeds, random.seeds, strict=False))
    for targets, seeds in zip(first.targets, first.seeds, strict=True):
        assert not set(targets.tolist()) & set(seeds.rows.tolist())
    assert first.seeds[0].rows.tolist() == lists[0][:3].tolist()
    assert len(continuation_cases(folds.fit, seeds=0, order="free", seed=1)) == len(folds.fit)
    assert ListQuery(first.seeds[0], np.ones(3, dtype=np.bool_)).name is None


FIRST = np.array([1, -6, 0.9, 0.9, -6, -6, 0.8, 0.8], dtype=np.float32)
SECOND = np.array([0.5, 0.5, 1, 1, 0.9, 0.9, -2, -2], dtype=np.float32)


def two_opinions(first: NDArray[np.float32] = FIRST) -> FusionExample:
    """Of the two withheld items, rows 0 and 1, the first source ranks one at the top and one far down, the second both fifth."""
    x = np.zeros((8, 6), dtype=np.float32)
    x[:, 0], x[:, 1] = first, SECOND
    return FusionExample(x, np.array([0.5, 0.5, 0, 0, 0, 0, 0, 0], dtype=np.float32), 2)


def test_one_source_gets_all_weight_where_enough_cases_show_that_its_r_precision_is_higher() -> None:
    case = two_opinions()
    few, many = (fit_weights([case] * size, sources=2) for size in (MIN_CASES - 1, MIN_CASES))
    assert (few.sole_source, many.sole_source) == (None, 0)
    assert case.r_precision(few.values) == 0
    assert case.r_precision(many.values) == 0.5
    silent = two_opinions(np.zeros(8, dtype=np.float32))
    order = np.argsort(-(silent.x @ many.values), kind="stable")
    assert order[:2].tolist() == [2, 3]  # as the other source ranks them


def test_one_source_does_not_get_all_weight_by_chance() -> None:
    other = two_opinions(np.array([-1, -1, 1, 1, 1, 1, 1, 1], dtype=np.float32))
    other.x[0, 1] = 2
    first = np.array([1, 0, 0, 0, 0, 0], dtype=np.float32)
    cases = [two_opinions(), other] * (MIN_CASES // 2) + [two_opinions()]
    weights = fit_weights(cases, sources=2)
    by_first, by_both = (np.mean([case.r_precision(tried) for case in cases]) for tried in (first, weights.values))
    assert by_first - by_both == pytest.approx(0.5 / len(cases))  # of lists that differ by 0.5 either way
    assert weights.sole_source is None
    assert weights.values[1] > weights.values[0]


def test_one_source_that_only_the_cases_themselves_show_to_be_better_does_not_get_all_weight() -> None:
    """In one half of the cases the first source is right, in the other the second: what one half chooses fails in the other."""
    first, second = two_opinions(), two_opinions()
    second.x[:, [0, 1]] = first.x[:, [1, 0]]
    assert fit_weights([first, second] * MIN_CASES, sources=2).sole_source is None


def test_which_source_has_all_weight_is_stored_and_anything_else_in_its_place_refused() -> None:
    weights = np.zeros((2, 2, 3), dtype=np.float32)
    about = {"sole_sources": {"sensitive": {"5": "popular"}, "free": {}}}
    part = SizeConditionedFusion(("popular",), (0, 5), weights, 10, about).part("lists/continue")
    fusion = SizeConditionedFusion.from_part(part)
    answers = [fusion.sole_source(length, order) for length in (0, 1, 9) for order in ("sensitive", "free")]
    assert answers == [None, None, "popular", None, "popular", None]
    with pytest.raises(BundleError, match="has sole_sources="):
        SizeConditionedFusion.from_part(replace(part, config=part.config | {"sole_sources": {"free": 3}}))


def test_weights_are_equal_without_cases() -> None:
    np.testing.assert_array_equal(fit_weights([], sources=2).values, [1, 1, 0, 0, 0, 0])
