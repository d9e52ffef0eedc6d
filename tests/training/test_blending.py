"""The fusion's fit: at its minimum, robust to noise, fair to items that are new."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from recsys.data.splits import split_by_fold
from recsys.pace import result_of
from recsys.retrieval.text import TextConfig, fit_text
from recsys.training.blending import (
    COLD_SHARE,
    L2,
    L2_MISSING,
    FusionExamples,
    FusionFeatures,
    collect,
    fit_fusion,
    select_sources,
    simulate_cold_items,
)
from tests.retrieval import worlds
from tests.retrieval.kinds import fitted

CASES, WIDTH = 400, 120
COLD_SCORES = {"popular": 0.0, "good": float("nan"), "also good": float("nan"), "noise": float("nan")}


def world() -> FusionExamples:
    """Candidates whose target all but `popular` and `noise` score higher than chance."""
    generator = np.random.default_rng(0)
    names = ("popular", "good", "also good", "noise", "text")
    scores = generator.normal(size=(CASES, WIDTH, len(names))).astype(np.float32)
    target = generator.integers(0, WIDTH, size=CASES)
    for name, lift in {"good": 2.5, "also good": 2.0, "text": 1.0}.items():
        scores[np.arange(CASES), target, names.index(name)] += lift
    return FusionExamples(names, scores, np.ones((CASES, WIDTH), dtype=np.bool_), target)


def test_the_weights_are_those_of_a_general_optimiser() -> None:
    masked = FusionFeatures.of(world())
    count = len(masked.names)
    start = np.repeat([2 / count, 0, 0], count)
    l2 = np.repeat([L2, L2_MISSING, L2_MISSING], count)

    def loss(weights: NDArray[np.float64]) -> float:
        logits = masked.features.astype(np.float64) @ weights
        target = logits[np.arange(CASES), masked.target]
        return float((np.log(np.exp(logits).sum(axis=1)) - target).mean() + (l2 * (weights - start) ** 2).sum())

    best = minimize(loss, start, method="BFGS")
    assert fit_fusion(masked, np.arange(CASES)) == pytest.approx(best.x, abs=2e-3)


def test_items_without_events_are_no_candidates() -> None:
    data = worlds.world(users=20)
    folds = split_by_fold(data.dataset)
    sources = {"text": fit_text(data.text, TextConfig(text_encoder="hashed"))}
    examples = collect(
        sources, folds.validation, catalogue=folds.refit.has_events, text=data.text, include_seen=True, seed=0
    )
    assert examples.real.sum(axis=1).max() == folds.refit.has_events.sum() < data.dataset.items


def test_a_source_of_texts_and_events_is_asked_for_new_items_as_if_they_had_no_events() -> None:
    data = worlds.world(users=40)
    folds = split_by_fold(data.dataset)
    sources = {name: fitted(name, data, epochs=3) for name in ("text", "imputed", "sasrec-hybrid")}
    examples = collect(
        sources, folds.validation, catalogue=folds.refit.has_events, text=data.text, include_seen=True, seed=0
    )
    assert set(examples.as_new) == {"sasrec-hybrid"}  # the others score items with events by texts alone
    old, new = examples.scores[..., 2], examples.as_new["sasrec-hybrid"]
    assert (np.abs(new - old)[examples.real] > 1e-3).mean() > 0.9
    simulated = simulate_cold_items(examples, cold_scores=COLD_SCORES, seed=0)
    scores, cold = simulated.scores[..., 2], simulated.real & (simulated.scores[..., 2] != old)
    assert 0.2 < cold[simulated.real].mean() < 0.4
    np.testing.assert_array_equal(scores[cold], new[cold])
    np.testing.assert_array_equal(simulated.scores[..., :2][cold], examples.scores[..., :2][cold])


def test_cases_without_their_target_teach_nothing() -> None:
    masked = FusionFeatures.of(world())
    missed = replace(masked, target=np.where(np.arange(CASES) < 200, masked.target, -1))
    assert np.array_equal(fit_fusion(missed, np.arange(CASES)), fit_fusion(masked, np.arange(200)))
    count = len(masked.names)
    nothing = fit_fusion(replace(masked, target=np.full(CASES, -1)), np.arange(CASES))
    assert nothing == pytest.approx(np.repeat([2 / count, 0, 0], count))


def test_every_source_is_measured_and_the_useful_ones_stay() -> None:
    fusion, figures = result_of(
        select_sources(
            world(), always=["popular"], optional=["good", "also good", "text"], cold_scores=COLD_SCORES, seed=0
        )
    )
    assert fusion.sources == ("popular", "good", "also good", "text")
    gains = figures["with_minus_without"]
    assert set(gains) == {"good", "also good", "text"}
    assert gains["good"]["low"] > 0
    assert gains["good"]["low"] < gains["good"]["mean"] < gains["good"]["high"]
    assert 0 < figures["validation_ndcg@10"] < 1


def test_a_source_that_costs_is_left_out_with_its_cost() -> None:
    """It raises targets far below rank ten, which the likelihood rewards, and lowers those near the top."""
    data = world()
    cases, scores = np.arange(CASES), data.scores.copy()
    hopeless = cases < 0.6 * CASES
    good, noise = data.names.index("good"), data.names.index("noise")
    scores[cases, data.target, good] += np.where(hopeless, -3.5, 1.0)
    scores[cases, data.target, noise] += np.where(hopeless, 1.5, -1.5)
    data = replace(data, scores=scores)
    fusion, figures = result_of(
        select_sources(data, always=["popular"], optional=["good", "noise"], cold_scores=COLD_SCORES, seed=0)
    )
    cost = figures["with_minus_without"]["noise"]
    assert cost["high"] < 0
    assert fusion.about["left_out"] == {"noise": cost["mean"]}
    without, _ = result_of(select_sources(data, always=["popular"], optional=["good"], cold_scores=COLD_SCORES, seed=0))
    assert fusion.sources == ("popular", "good")
    assert fusion.weights == pytest.approx(without.weights, abs=1e-5)


def test_new_items_have_no_scores_of_sources_that_know_only_ids() -> None:
    data = world()
    new = simulate_cold_items(data, cold_scores=COLD_SCORES, seed=0)
    text, good = data.names.index("text"), data.names.index("good")
    changed = np.isnan(new.scores[..., good]) & new.real
    assert 0 < changed.mean() < COLD_SHARE
    assert np.array_equal(new.scores[..., text][new.real], data.scores[..., text][new.real])
    assert np.array_equal(new.scores[changed][:, data.names.index("popular")], np.zeros(changed.sum()))
    assert ((new.target == data.target) | (new.target == -1)).all()
    ids_only = data.only(["popular", "good"])
    assert simulate_cold_items(ids_only, cold_scores=COLD_SCORES, seed=0) is ids_only
