"""Histories folded into factors: ALS solves the user's equations as `implicit` does, BPR takes the mean of the items."""

import numpy as np
import pytest
from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from recsys.errors import InvalidRequest
from recsys.retrieval.factors import AlsConfig, BprConfig, fit_als, fit_bpr
from recsys.retrieval.neighbours import interactions
from tests.training.planted import dataset

DATA = dataset(users=60)


def test_without_decay_it_is_the_user_that_implicit_would_learn() -> None:
    config = AlsConfig(factors=8, ridge=0.1, alpha=3.0, decay=1.0, iterations=4)
    source = fit_als(DATA, config, seed=0)
    seen = interactions(DATA)
    with threadpool_limits(1, "blas"):
        reference = AlternatingLeastSquares(
            factors=8, regularization=0.1, alpha=3.0, iterations=1, num_threads=1, use_gpu=False, use_cg=False
        )
        reference.fit(seen, show_progress=False)
        reference.item_factors, reference._YtY = source.vectors.copy(), None
        users = reference.recalculate_user(np.arange(5), seen[:5])
    ours = source.encode([np.unique(history.rows) for history, _ in zip(DATA.histories(), range(5), strict=False)])
    np.testing.assert_allclose(ours, users, rtol=1e-3, atol=1e-4)


def test_the_normal_equations_hold_with_decay() -> None:
    source = fit_als(DATA, AlsConfig(factors=6, ridge=0.5, alpha=2.0, decay=0.7, iterations=3), seed=0)
    rows = np.array([3, 5, 3, 8])
    confidence = {5: 2.0 * 0.7**2, 3: 2.0 * (0.7**3 + 0.7), 8: 2.0}
    y = source.vectors.astype(np.float64)
    left, right = y.T @ y + 0.5 * np.eye(6), np.zeros(6)
    for row, c in confidence.items():
        left += (c - 1) * np.outer(y[row], y[row])
        right += c * y[row]
    np.testing.assert_allclose(source.encode([rows])[0], np.linalg.solve(left, right), rtol=1e-3, atol=1e-5)


def test_bpr_takes_the_weighed_mean_and_a_one_for_the_bias() -> None:
    source = fit_bpr(DATA, BprConfig(factors=6, iterations=5, decay=0.5, scale=2.0), seed=0)
    rows = np.array([3, 8])
    mean = (0.5 * source.vectors[3, :-1] + source.vectors[8, :-1]) / 1.5
    np.testing.assert_allclose(source.encode([rows])[0], np.append(2.0 * mean, 1), rtol=1e-5)


def test_without_regularisation_there_is_no_one_answer() -> None:
    with pytest.raises(InvalidRequest, match="ridge=0"):
        AlsConfig(ridge=0.0)
