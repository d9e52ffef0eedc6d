"""Ranks against loops, metrics against their definitions, intervals against what they promise."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recsys.metrics.ranking import (
    bootstrap,
    coverage,
    dense_ranks,
    hits,
    listed_ranks,
    ndcg,
    paired,
    reciprocal,
    user_means,
)
from recsys.retrieval.source import Candidates, top

Case = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]


@st.composite
def ranked(draw: st.DrawFn) -> Case:
    """Scores with many ties and gaps, a target in each row, and what is allowed."""
    queries, items = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    scores = generator.integers(-2, 3, (queries, items)).astype(np.float32)
    scores[generator.random(scores.shape) < 0.2] = np.nan
    return scores, generator.integers(items, size=queries), generator.random(scores.shape) < 0.7


def naive(scores: NDArray[np.float32], target: int, allowed: NDArray[np.bool_]) -> float:
    """Mean place over all orders of tied items, found by counting: exact."""
    if not allowed[target]:
        return float(allowed.sum() + 1)
    values = [-math.inf if math.isnan(s) else float(s) for s in scores]
    rivals = [values[i] for i in range(len(values)) if allowed[i] and i != target]
    first = 1 + sum(rival > values[target] for rival in rivals)
    last = first + sum(rival == values[target] for rival in rivals)
    return float(sum(Fraction(rank) for rank in range(first, last + 1)) / (last - first + 1))


@given(ranked())
def test_dense_ranks_match_the_naive_loop(case: Case) -> None:
    scores, targets, allowed = case
    expected = [naive(*row) for row in zip(scores, targets, allowed, strict=True)]
    np.testing.assert_array_equal(dense_ranks(scores, targets, allowed), expected)


def test_constant_scores_get_chance() -> None:
    scores, allowed = np.zeros((1, 101), np.float32), np.ones((1, 101), np.bool_)
    assert dense_ranks(scores, np.array([3]), allowed) == [51]
    assert dense_ranks(scores * np.nan, np.array([3]), allowed) == [51]


def test_an_item_without_a_score_comes_after_all_that_have_one() -> None:
    scores = np.array([[-5.0, np.nan, -7.0, np.nan]], np.float32)
    assert dense_ranks(scores, np.array([1]), np.ones((1, 4), np.bool_)) == [3.5]


@given(ranked())
def test_the_order_of_the_catalogue_does_not_matter(case: Case) -> None:
    scores, targets, allowed = case
    reversed_ranks = dense_ranks(scores[:, ::-1], scores.shape[1] - 1 - targets, allowed[:, ::-1])
    np.testing.assert_array_equal(reversed_ranks, dense_ranks(scores, targets, allowed))


@given(ranked())
def test_a_list_of_everything_ranks_like_dense_scores(case: Case) -> None:
    scores, targets, allowed = case
    scores = np.nan_to_num(scores, nan=-9.0)
    result = top(np.where(allowed, scores, -np.inf), k=scores.shape[1])
    np.testing.assert_array_equal(
        listed_ranks(result.rows, result.scores, targets, allowed), dense_ranks(scores, targets, allowed)
    )


@given(ranked(), st.integers(1, 8))
def test_ranks_outside_a_list_share_what_remains(case: Case, k: int) -> None:
    """Summed over all allowed targets, ranks are 1 + 2 + ... whatever the list holds."""
    scores, _, allowed = case
    result = top(np.where(allowed, scores, -np.inf), k=k)
    for row in range(len(scores)):
        targets = np.flatnonzero(allowed[row])
        repeated = Candidates(
            np.tile(result.rows[row], (len(targets), 1)), np.tile(result.scores[row], (len(targets), 1))
        )
        ranks = listed_ranks(repeated.rows, repeated.scores, targets, np.tile(allowed[row], (len(targets), 1)))
        assert ranks.sum() == pytest.approx(len(targets) * (len(targets) + 1) / 2)


def test_an_empty_list_gives_chance() -> None:
    result = Candidates(np.full((1, 5), -1), np.full((1, 5), -np.inf, np.float32))
    assert listed_ranks(result.rows, result.scores, np.array([7]), np.ones((1, 11), np.bool_)) == [6]


def test_a_target_that_may_not_be_returned_is_a_miss_on_both_paths() -> None:
    allowed = np.array([[True, True, False, True]])
    scores = np.array([[0.1, 0.2, 9.0, 0.3]], np.float32)
    assert dense_ranks(scores, np.array([2]), allowed) == [4]
    answer = top(np.where(allowed, scores, -np.inf), k=4)
    assert listed_ranks(answer.rows, answer.scores, np.array([2]), allowed) == [4]


@given(st.lists(st.floats(1, 50), min_size=1, max_size=20))
def test_metrics_follow_their_definitions(ranks: list[float]) -> None:
    values = np.array(ranks)
    np.testing.assert_allclose(ndcg(values), [1 / math.log2(r + 1) if r <= 10 else 0 for r in ranks])
    np.testing.assert_array_equal(hits(values, at=5), [float(r <= 5) for r in ranks])
    np.testing.assert_allclose(reciprocal(values), [1 / r for r in ranks])


def test_coverage_counts_items_once_and_gaps_never() -> None:
    assert coverage(np.array([[0, 1, -1], [1, 2, -1]]), items=6) == 0.5


def test_a_user_with_many_cases_counts_once() -> None:
    np.testing.assert_array_equal(user_means(np.array([1.0, 0.0, 0.0, 1.0]), np.array([5, 2, 2, 2])), [1 / 3, 1])


def test_the_bootstrap_draws_users_with_replacement() -> None:
    values = np.random.default_rng(1).exponential(size=400).round(2)
    generator = np.random.default_rng(2)
    means = [values[generator.integers(400, size=400)].mean() for _ in range(4000)]
    interval = bootstrap(values, draws=4000)
    assert interval.mean == values.mean()
    np.testing.assert_allclose([interval.low, interval.high], np.quantile(means, [0.025, 0.975]), atol=0.012)


def test_ninety_five_percent_intervals_hold_the_truth_that_often() -> None:
    generator = np.random.default_rng(3)
    trials = [bootstrap((generator.random(300) < 0.2).astype(np.float64), seed=i, draws=400) for i in range(400)]
    inside = np.mean([trial.low <= 0.2 <= trial.high for trial in trials])
    assert 0.91 <= inside <= 0.98


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(4).random(50)
    assert bootstrap(values, seed=7) == bootstrap(values, seed=7) != bootstrap(values, seed=8)


def test_pairing_sees_what_two_intervals_hide() -> None:
    generator = np.random.default_rng(5)
    base = generator.random(500)
    better = base + 0.01 + generator.normal(0, 0.01, 500)
    assert bootstrap(better).low < bootstrap(base).high
    assert paired(better, base).low > 0
    assert paired(base, base).low == paired(base, base).high == 0


@given(st.floats(-1, 1), st.integers(1, 200))
def test_the_interval_of_equal_values_is_their_mean(value: float, users: int) -> None:
    interval = bootstrap(np.full(users, value), draws=50)
    assert interval.low <= interval.mean <= interval.high
    assert interval.low == pytest.approx(interval.high)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=5), st.integers(0, 9))
def test_an_interval_contains_its_mean(values: list[float], seed: int) -> None:
    interval = bootstrap(np.array(values), seed=seed, draws=20)
    assert interval.low <= interval.mean <= interval.high


def test_no_cases_give_no_number() -> None:
    assert math.isnan(bootstrap(np.empty(0)).mean)
