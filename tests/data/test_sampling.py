"""Negatives come as often as their log probability says."""

import numpy as np
import pytest

from recsys.data.sampling import NegativeSampler, Proposal

COUNTS = np.array([0, 1, 10, 100, 1000])


@pytest.mark.parametrize(
    ("proposal", "weights"),
    [("uniform", [0, 1, 1, 1, 1]), ("popular", [0, 1, 10**0.75, 100**0.75, 1000**0.75])],
)
def test_draws_follow_the_proposal(proposal: Proposal, weights: list[float]) -> None:
    sampler = NegativeSampler(COUNTS, proposal=proposal)
    rows = sampler.draw(200_000, np.random.default_rng(0))
    expected = np.array(weights) / np.sum(weights)
    np.testing.assert_allclose(np.bincount(rows, minlength=5) / len(rows), expected, atol=0.005)
    np.testing.assert_allclose(np.exp(sampler.log_q), expected, rtol=1e-5)


def test_an_item_without_events_is_never_drawn() -> None:
    sampler = NegativeSampler(np.array([0, 3, 0, 1, 0]), proposal="uniform")
    assert set(sampler.draw(1000, np.random.default_rng(0)).tolist()) == {1, 3}


def test_in_batch_negatives_are_targets_of_the_batch() -> None:
    sampler = NegativeSampler(COUNTS, proposal="in-batch")
    rows = sampler.draw(10_000, np.random.default_rng(0), targets=np.array([2, 4, 4, 4]))
    np.testing.assert_allclose(np.bincount(rows, minlength=5) / len(rows), [0, 0, 0.25, 0, 0.75], atol=0.02)
    np.testing.assert_allclose(np.exp(sampler.log_q)[1:], COUNTS[1:] / COUNTS.sum(), rtol=1e-5)


def test_the_same_generator_draws_the_same() -> None:
    sampler = NegativeSampler(COUNTS, proposal="popular")
    first, other = (sampler.draw(50, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, other)
