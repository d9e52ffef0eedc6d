"""ALS and BPR: a history folded in is the user that training would have learned, or close to it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recsys.data.history import History
from recsys.data.splits import split_by_fold
from recsys.errors import InvalidRequest
from recsys.metrics.ranking import dense_ranks, ndcg
from recsys.ranking.filters import over_catalogue
from recsys.retrieval.factors import AlsConfig, AlsSource, BprConfig, BprSource, fit_als, fit_bpr
from recsys.retrieval.neighbours import interactions
from tests.retrieval.worlds import World, drawn, everything, query


def item_vectors(rows: int, dim: int, *, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)


def als(vectors: NDArray[np.float32], config: AlsConfig) -> AlsSource:
    settings = {"ridge": config.ridge, "alpha": config.alpha, "decay": config.decay}
    return AlsSource(vectors, known=np.ones(len(vectors), dtype=np.bool_), config=settings)


def naive_user(vectors: NDArray[np.float32], past: list[int], config: AlsConfig) -> NDArray[np.floating]:
    """The normal equations over all items: confidence 1 in a preference of 0, but for what the history holds."""
    confidence, preference = np.ones(len(vectors)), np.zeros(len(vectors))
    for row in set(past):
        preference[row] = 1
        confidence[row] = config.alpha * sum(
            config.decay**age for age, other in enumerate(reversed(past)) if other == row
        )
    y, c = vectors.astype(np.float64), np.diag(confidence)
    return np.linalg.solve(y.T @ c @ y + config.ridge * np.eye(y.shape[1]), y.T @ c @ preference)


@given(past=st.lists(st.integers(0, 7), min_size=1, max_size=20), alpha=st.floats(0.5, 20), decay=st.floats(0.3, 1))
def test_a_history_solves_the_normal_equations(past: list[int], alpha: float, decay: float) -> None:
    config = AlsConfig(alpha=alpha, decay=decay, ridge=0.5)
    vectors = item_vectors(8, 3)
    vector = als(vectors, config).encode([History.undated(np.array(past))])[0]
    np.testing.assert_allclose(vector, naive_user(vectors, past, config), rtol=1e-2, atol=1e-3)


def test_without_decay_it_is_the_user_that_implicit_would_learn() -> None:
    data = drawn(np.random.default_rng(2), users=40, items=15)
    config = AlsConfig(factors=4, decay=1.0)
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=4, regularization=config.ridge, alpha=config.alpha, random_state=7, num_threads=1, use_gpu=False
        )
        model.fit(interactions(data), show_progress=False)
        user = int(np.flatnonzero(data.lengths > 3)[0])
        theirs = model.recalculate_user(user, interactions(data)[user])
    ours = fit_als(data, config, seed=7)
    np.testing.assert_array_equal(ours.vectors, model.item_factors)
    np.testing.assert_allclose(
        ours.encode([History.undated(np.unique(data.history(user).rows))])[0], theirs, rtol=1e-3, atol=1e-4
    )


def test_what_was_long_ago_is_no_evidence_at_all() -> None:
    vectors, config = item_vectors(8, 3), AlsConfig(decay=0.1)
    source = als(vectors, config)
    with_it, without = source.encode([History.undated(np.array(past)) for past in ([5, *[1, 2] * 10], [1, 2] * 10)])
    hidden = np.delete(np.arange(8), 5)  # the item may be liked or not: nobody knows
    np.testing.assert_allclose(with_it, naive_user(vectors[hidden], [1, 2] * 10, config), rtol=1e-3)
    assert not np.allclose(with_it, without, rtol=1e-3)


def test_als_without_regularisation_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"ridge=0\.0: .* above 0"):
        AlsConfig(ridge=0.0)


@given(past=st.lists(st.integers(0, 7), min_size=1, max_size=20), decay=st.floats(0.3, 1), scale=st.floats(0.1, 5))
def test_bpr_takes_the_weighted_mean_of_the_items_and_leaves_the_bias_alone(
    past: list[int], decay: float, scale: float
) -> None:
    vectors = item_vectors(8, 4)
    source = BprSource(vectors, kind="bpr", known=np.ones(8, dtype=np.bool_), config={"decay": decay, "scale": scale})
    weights = [decay**age for age in range(len(past))][::-1]
    taste = sum(weight * vectors[row, :3] for weight, row in zip(weights, past, strict=True)) / sum(weights)
    expected = [scale * taste @ vectors[row, :3] + vectors[row, 3] for row in range(8)]
    np.testing.assert_allclose(source.score([query(past, allowed=8)], everything(1, items=8))[0], expected, rtol=1e-3)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_bpr_history_is_as_good_as_the_user_that_was_trained(planted: World, seed: int) -> None:
    folds, items = split_by_fold(planted.dataset), planted.dataset.items
    with threadpool_limits(1, "blas"):
        model = BayesianPersonalizedRanking(
            factors=16, learning_rate=0.05, iterations=100, random_state=seed, num_threads=1, use_gpu=False
        )
        model.fit(interactions(folds.refit), show_progress=False)
    ours = fit_bpr(folds.refit, BprConfig(factors=16), seed=seed)
    np.testing.assert_array_equal(ours.vectors, model.item_factors)
    assert (model.user_factors[:, -1] == 1).all()  # the items' last column is their bias
    questions = over_catalogue(folds.test, items=items, include_seen=False)
    allowed = np.stack([question.allowed for question in questions])
    folded = ndcg(
        dense_ranks(ours.score(questions, everything(len(questions), items=items)), folds.test.targets, allowed)
    )
    learned = ndcg(dense_ranks(model.user_factors @ model.item_factors.T, folds.test.targets, allowed))
    assert folded.mean() > learned.mean()


def test_other_weights_of_a_history_need_no_new_fit(planted: World) -> None:
    source = fit_bpr(planted.dataset, BprConfig(factors=4, iterations=2), seed=0)
    other = source.with_query_time(decay=0.1, scale=3.0)
    assert other.vectors is source.vectors
    assert other.config == source.config | {"decay": 0.1, "scale": 3.0}
    assert source.config["decay"] == 0.8
