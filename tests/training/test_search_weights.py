"""Weights of the search: fitted on half of the items, and taken only where they find the others better."""

from collections.abc import Sequence

import numpy as np
import pytest

from recsys.bundle_io import load_bundle
from recsys.data.search_queries import KINDS, SearchQuery
from recsys.retrieval.text_search import SearchWeights
from recsys.training.search_weights import MIN_MEANING, SearchExample, fitted_weights, mean_reciprocal_rank
from tests.worlds import Planted


def examples(usefulness: Sequence[float], *, items: int = 60, seed: int = 0) -> list[SearchExample]:
    """Queries with ten candidates each, of which the target stands out in each feature by its usefulness."""
    generator = np.random.default_rng(seed)
    made = []
    for row in range(items):
        for kind in KINDS:
            features = generator.random((10, 3)).astype(np.float32)
            features[3] += usefulness
            made.append(SearchExample(SearchQuery(kind, row, "a query"), features, np.arange(10) == 3))
    return made


def test_what_finds_items_gets_the_weight() -> None:
    weights, figures = fitted_weights(examples([0, 1.0, 0]))
    assert weights.words > 0.7 > weights.title
    assert weights.meaning >= MIN_MEANING
    assert weights.title + weights.words + weights.meaning == pytest.approx(1)
    assert figures["fitted"] > figures["default"]


def test_where_a_fit_finds_the_other_items_no_better_the_default_weights_stay() -> None:
    misleading = [*examples([0.5, 0.3, 0.1], items=1), *examples([-2, 1, 0], items=1, seed=1)]
    of_fit = [SearchExample(SearchQuery(e.query.kind, 0, ""), e.features, e.is_target) for e in misleading[4:]]
    others = [SearchExample(SearchQuery(e.query.kind, 1, ""), e.features, e.is_target) for e in misleading[:4]]
    weights, figures = fitted_weights([*of_fit, *others])
    assert weights == SearchWeights()
    assert figures["fitted"] <= figures["default"]
    assert fitted_weights([])[0] == SearchWeights()


def test_the_best_of_equal_titles_counts_and_ties_count_against_it() -> None:
    features = np.array([[0.5, 0, 0], [0.9, 0, 0], [0.9, 0, 0], [0.1, 0, 0]], dtype=np.float32)
    is_target = np.array([True, True, False, False])
    example = SearchExample(SearchQuery("title", 0, "x"), features, is_target)
    assert mean_reciprocal_rank([example], np.array([1.0, 0, 0])) == 0.5


def test_a_blend_has_weights_that_its_search_goes_by(trained: Planted) -> None:
    about = load_bundle(trained.bundle).about
    weights = SearchWeights.from_manifest(about)
    assert weights.title + weights.words + weights.meaning == pytest.approx(1)
    assert about["search_weights"]["meaning"] >= MIN_MEANING
    assert set(about["search_figures"]) == {"fitted", "default"}
