"""Weights of what continues lists: fitted where lists tell, equal where none do."""

import numpy as np
import pytest

from recsys.data.continuation_cases import continuation_cases
from recsys.data.playlists import playlists, split_playlists
from recsys.metrics.continuation import figures
from recsys.retrieval.lists.continuation import SizeConditionedFusion
from recsys.retrieval.lists.neighbours import ListNeighboursConfig
from recsys.retrieval.lists.sparse import ListQuery
from recsys.store import Store
from recsys.training.lists.fusion import fit_continuation, list_queries
from recsys.training.lists.sources import fit_source
from tests.worlds import Planted


@pytest.fixture(scope="module")
def folds(trained: Planted):  # type: ignore[no-untyped-def]
    store = Store.open(trained.url)
    yield split_playlists(playlists(store, seed=0))
    store.close()


def test_the_source_that_finds_more_weighs_more_and_a_size_without_cases_stays_equal(folds) -> None:  # type: ignore[no-untyped-def]
    sources = {name: fit_source(name, folds.fit, ListNeighboursConfig(), seed=0) for name in ("popular", "markov")}
    fitted = fit_continuation(sources, folds.validation, seed=0)
    popular, markov = fitted.fusion(5, "sensitive").weights[:2]
    assert markov > popular
    np.testing.assert_array_equal(fitted.fusion(100, "free").weights, [1, 1, 0, 0, 0, 0])
    assert fitted.fusion(1, "free").weights.tolist() == fitted.fusion(2, "free").weights.tolist()
    assert fitted.fusion(0, "free").weights.tolist() != fitted.fusion(1, "free").weights.tolist()


def test_figures_are_of_lists_that_the_weights_were_not_fitted_on(folds) -> None:  # type: ignore[no-untyped-def]
    sources = {name: fit_source(name, folds.fit, ListNeighboursConfig(), seed=0) for name in ("popular", "markov")}
    both = fit_continuation(sources, folds.validation, seed=0)
    alone = fit_continuation({"popular": sources["popular"]}, folds.validation, seed=0)
    told, least = (one.figures["validation_r_precision"] for one in (both, alone))
    assert told.keys() == {"0", "1", "5"}  # of ten items no more can be shown
    for size in ("1", "5"):
        cases = continuation_cases(folds.validation, seeds=int(size), order="sensitive", seed=0)
        assert told[size]["lists"] == len(cases)
        assert told[size]["mean"] > least[size]["mean"]
        queries = list_queries(cases, items=folds.validation.data.items)
        rows = sources["popular"].search(queries, k=500).rows  # one source has one order, whatever it weighs
        assert least[size]["mean"] == pytest.approx(figures(rows, cases.withheld).r_precision.mean())
    assert both.part("lists/continue").figures == both.figures
    assert SizeConditionedFusion.from_part(both.part("lists/continue")).figures == both.figures


def test_cases_show_the_first_items_or_any_and_withhold_all_others(folds) -> None:  # type: ignore[no-untyped-def]
    rows = [one for one in folds.fit.rows() if len(np.unique(one)) > 3]
    first, some = (continuation_cases(folds.fit, seeds=3, order=order, seed=1) for order in ("sensitive", "free"))
    assert any(a.rows.tolist() != b.rows.tolist() for a, b in zip(first.seeds, some.seeds, strict=False))
    for case, shown in zip(first.withheld, first.seeds, strict=True):
        assert not set(case.tolist()) & set(shown.rows.tolist())
    assert first.seeds[0].rows.tolist() == rows[0][:3].tolist()
    assert len(continuation_cases(folds.fit, seeds=0, order="free", seed=1)) == len(folds.fit)
    assert ListQuery(first.seeds[0], np.ones(3, dtype=np.bool_)).name is None
