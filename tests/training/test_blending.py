"""The fusion's fit: convex and solved, deaf to noise, fair to items that are new."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from recsys.training.blending import HIDDEN, RIDGE, RIDGE_SILENT, FusionData, Table, choose, fit_fusion, with_new_items

CASES, WIDTH = 400, 120
UNSEEN = {"popular": 0.0, "good": float("nan"), "also good": float("nan"), "noise": float("nan")}


def world() -> FusionData:
    """Candidates whose target all but `popular` and `noise` score higher than chance."""
    generator = np.random.default_rng(0)
    names = ("popular", "good", "also good", "noise", "text")
    scores = generator.normal(size=(CASES, WIDTH, len(names))).astype(np.float32)
    target = generator.integers(0, WIDTH, size=CASES)
    for name, lift in {"good": 2.5, "also good": 2.0, "text": 1.0}.items():
        scores[np.arange(CASES), target, names.index(name)] += lift
    return FusionData(names, scores, np.ones((CASES, WIDTH), dtype=np.bool_), target)


def test_the_weights_are_those_of_a_general_optimiser() -> None:
    table = Table.of(world())
    count = len(table.names)
    start = np.repeat([2 / count, 0, 0], count)
    pull = np.repeat([RIDGE, RIDGE_SILENT, RIDGE_SILENT], count)

    def loss(weights: NDArray[np.float64]) -> float:
        logits = table.features.astype(np.float64) @ weights
        own = logits[np.arange(CASES), table.target]
        return float((np.log(np.exp(logits).sum(axis=1)) - own).mean() + (pull * (weights - start) ** 2).sum())

    best = minimize(loss, start, method="BFGS")
    assert fit_fusion(table, np.arange(CASES)) == pytest.approx(best.x, abs=2e-3)


def test_cases_without_their_target_teach_nothing() -> None:
    table = Table.of(world())
    missed = replace(table, target=np.where(np.arange(CASES) < 200, table.target, -1))
    assert np.array_equal(fit_fusion(missed, np.arange(CASES)), fit_fusion(table, np.arange(200)))
    count = len(table.names)
    nothing = fit_fusion(replace(table, target=np.full(CASES, -1)), np.arange(CASES))
    assert nothing == pytest.approx(np.repeat([2 / count, 0, 0], count))


def test_every_source_is_measured_and_the_useful_ones_stay() -> None:
    fusion, figures = choose(world(), always=["popular"], optional=["good", "also good", "text"], unseen=UNSEEN, seed=0)
    assert fusion.sources == ("popular", "good", "also good", "text")
    gains = figures["with_minus_without"]
    assert set(gains) == {"good", "also good", "text"}
    assert gains["good"]["low"] > 0
    assert gains["good"]["low"] < gains["good"]["mean"] < gains["good"]["high"]
    assert 0 < figures["validation_ndcg@10"] < 1


def test_a_source_that_costs_is_left_out_and_told() -> None:
    """It raises targets that stay far below the tenth place, which the likelihood rewards, and lowers those near the top."""
    data = world()
    cases, scores = np.arange(CASES), data.scores.copy()
    hopeless = cases < 0.6 * CASES
    good, noise = data.names.index("good"), data.names.index("noise")
    scores[cases, data.target, good] += np.where(hopeless, -3.5, 1.0)
    scores[cases, data.target, noise] += np.where(hopeless, 1.5, -1.5)
    data = replace(data, scores=scores)
    fusion, figures = choose(data, always=["popular"], optional=["good", "noise"], unseen=UNSEEN, seed=0)
    cost = figures["with_minus_without"]["noise"]
    assert cost["high"] < 0
    assert fusion.about["left_out"] == {"noise": cost["mean"]}
    without, _ = choose(data, always=["popular"], optional=["good"], unseen=UNSEEN, seed=0)
    assert fusion.sources == ("popular", "good")
    assert fusion.weights == pytest.approx(without.weights, abs=1e-5)


def test_new_items_are_silent_where_only_ids_are_known() -> None:
    data = world()
    new = with_new_items(data, unseen=UNSEEN, seed=0)
    text, good = data.names.index("text"), data.names.index("good")
    changed = np.isnan(new.scores[..., good]) & new.real
    assert 0 < changed.mean() < HIDDEN
    assert np.array_equal(new.scores[..., text][new.real], data.scores[..., text][new.real])
    assert np.array_equal(new.scores[changed][:, data.names.index("popular")], np.zeros(changed.sum()))
    assert ((new.target == data.target) | (new.target == -1)).all()
    ids_alone = data.only(["popular", "good"])
    assert with_new_items(ids_alone, unseen=UNSEEN, seed=0) is ids_alone
