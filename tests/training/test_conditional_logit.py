"""The conditional logit: its loss and derivatives by the formula, and a fit that finds the minimum."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from recsys.training import conditional_logit
from recsys.training.conditional_logit import Derivatives, LogitExamples, derivatives, fit_conditional_logit

FEATURES = 4
START = np.array([0.5, 0.5, 0, 0])
L2 = np.array([0.03, 0.03, 0.003, 0.003])


def examples(*lengths: int, seed: int = 0) -> LogitExamples:
    """Cases of these lengths, with random shares that depend on the first feature."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(sum(lengths), FEATURES)).astype(np.float32)
    offsets = np.cumsum([0, *lengths])
    raw = generator.random(len(x)) * np.exp(x[:, 0])
    totals = np.add.reduceat(raw, offsets[:-1]) if lengths else np.empty(0)
    return LogitExamples(x, (raw / np.repeat(totals, lengths)).astype(np.float32), offsets)


def naive(data: LogitExamples, weights: NDArray[np.float64]) -> float:
    """The loss, one case at a time."""
    cases = []
    for first, end in zip(data.offsets[:-1], data.offsets[1:], strict=True):
        exponentials = np.exp(data.features[first:end].astype(np.float64) @ weights)
        cases.append(-(data.shares[first:end] * np.log(exponentials / exponentials.sum())).sum())
    return float(np.mean(cases) + (L2 * (weights - START) ** 2).sum())


def differences(function, at: NDArray[np.float64], step: float = 1e-4) -> NDArray[np.float64]:  # type: ignore[no-untyped-def]
    """Central finite differences of `function` along each weight."""
    return np.array([(function(at + e) - function(at - e)) / (2 * step) for e in step * np.eye(len(at))])


WEIGHTS = np.array([0.3, -0.7, 1.1, 0.2])


def at(weights: NDArray[np.float64], data: LogitExamples) -> Derivatives:
    return derivatives(data, weights, start=START, l2=L2)


@pytest.mark.slow
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6), rows=st.integers(1, 30))
def test_loss_and_derivatives_are_those_of_the_formula_in_blocks_of_any_size(lengths: list[int], rows: int) -> None:
    data = examples(*lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conditional_logit, "ROWS_PER_BLOCK", rows)
        loss, gradient, hessian = at(WEIGHTS, data)
        assert loss == pytest.approx(naive(data, WEIGHTS), rel=1e-6)
        np.testing.assert_allclose(gradient, differences(lambda w: naive(data, w), WEIGHTS), atol=1e-6)
        np.testing.assert_allclose(hessian, differences(lambda w: at(w, data).gradient, WEIGHTS), atol=2e-6)


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6), shift=st.floats(-20, 20))
def test_a_shift_of_all_scores_of_a_case_changes_nothing(lengths: list[int], shift: float) -> None:
    data = examples(*lengths)
    shifted = data.features.copy()
    shifted[: lengths[0]] += np.float32(shift)
    before, after = at(WEIGHTS, data), at(WEIGHTS, replace(data, features=shifted))
    assert after.loss == pytest.approx(before.loss, abs=1e-4)
    np.testing.assert_allclose(after.gradient, before.gradient, atol=1e-4)
    np.testing.assert_allclose(after.hessian, before.hessian, atol=5e-3)


def test_the_weights_are_those_of_a_general_optimiser() -> None:
    data = examples(*range(2, 40))
    best = minimize(lambda w: naive(data, w), START, method="BFGS", options={"gtol": 1e-7})
    fitted = fit_conditional_logit(data, start=START, l2=L2)
    assert fitted == pytest.approx(best.x, abs=1e-4)
    assert fitted != pytest.approx(START, abs=0.1)


def test_large_scores_neither_overflow_nor_stop_the_fit() -> None:
    data = examples(*range(2, 40))
    large = replace(data, features=data.features * 1e3)
    fitted = fit_conditional_logit(large, start=START, l2=L2)
    assert np.abs(at(fitted, large).gradient).max() < 1e-2


def test_without_examples_the_weights_stay_at_the_start() -> None:
    assert np.array_equal(fit_conditional_logit(examples(), start=START, l2=L2), START)


def test_a_stronger_pull_ends_nearer_to_the_start() -> None:
    data = examples(*range(2, 40))
    distances = [
        np.linalg.norm(fit_conditional_logit(data, start=START, l2=strength * L2) - START) for strength in (0.1, 1, 100)
    ]
    assert distances == sorted(distances, reverse=True)
