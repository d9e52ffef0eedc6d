"""What events weigh reaches every source that can use it, in the fit and in the history that is asked about."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch

from recsys.data.history import History
from recsys.retrieval.factors import AlsConfig, fit_als
from recsys.retrieval.item_item import ItemItemSource
from recsys.retrieval.markov import MarkovConfig, fit_markov
from recsys.retrieval.neighbours import interactions
from recsys.retrieval.popular import PopularConfig, fit_popular
from recsys.retrieval.source import Query
from recsys.training.sequence import _Objective
from recsys.training.sequence_model import SequenceModel, SequenceRecipe
from tests.retrieval.worlds import drawn, histories

ITEMS = 4
DATA = replace(histories([0, 1, 0], [1, 2], items=ITEMS), values=np.array([1.0, 3.0, 2.0, 1.0, 0.5]))


def test_popularity_sums_weights() -> None:
    np.testing.assert_allclose(np.expm1(fit_popular(DATA, PopularConfig()).scores), [3, 4, 0.5, 0], rtol=1e-6)


def test_a_user_and_an_item_weigh_as_much_as_the_heaviest_event() -> None:
    np.testing.assert_array_equal(interactions(DATA).toarray(), [[2, 3, 0, 0], [0, 1, 0.5, 0]])


def test_a_successor_weighs_as_its_event_and_follows_itself_where_repeats_are_answers() -> None:
    config = MarkovConfig(reach=2, shrink=1e-6)
    without = fit_markov(DATA, config).matrix.toarray()
    np.testing.assert_allclose(without[0], [0, 1, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(without[1], [2 / 2.5, 0, 0.5 / 2.5, 0], rtol=1e-5)
    repeats = fit_markov(DATA, config, repeats=True).matrix.toarray()
    np.testing.assert_allclose(repeats[0], [1 / 4, 3 / 4, 0, 0], rtol=1e-5)  # 0 again, two steps on: 2 / 2


def test_a_heavy_event_of_a_history_counts_as_several_light_ones() -> None:
    data = drawn(np.random.default_rng(1), users=40, items=10)
    heavy = replace(History.undated(np.array([2, 5])), weights=np.array([1.0, 3.0]))
    light = History.undated(np.array([2, 5, 5, 5]))
    als = fit_als(data, AlsConfig(factors=4, decay=1.0), seed=0)
    one, other = als.encode([heavy, light])
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    source: ItemItemSource = fit_markov(data, MarkovConfig()).with_query_time(decay=1.0)
    rows, every = np.arange(10)[None].repeat(2, axis=0), np.ones(10, dtype=np.bool_)
    one, other = source.score([Query(heavy, every), Query(light, every)], rows)
    np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize("objective", ["softmax", "sampled", "gbce"])
def test_a_sequence_model_learns_from_an_event_by_its_weight(objective: Literal["softmax", "sampled", "gbce"]) -> None:
    def loss(*weights: float) -> float:
        data = replace(histories([0, 1, 2], items=ITEMS), values=np.array([1.0, *weights]))
        recipe = SequenceRecipe(start="random", negatives=8, objective=objective)
        torch.manual_seed(0)
        model = SequenceModel(recipe, items=ITEMS, text=None).eval()
        return float(_Objective(recipe, model, data, "cpu")([data.history(0)], np.random.default_rng(0)).detach())

    first, second = loss(2, 0) / 2, loss(0, 2) / 2
    assert first != pytest.approx(second, rel=1e-3)
    assert loss(1, 1) == pytest.approx(first + second, rel=1e-4)
