"""The losses against their formulas, term by term."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.objectives.gbce import beta, gbce
from models.objectives.softmax import full_softmax, sampled_softmax
from recsys.data.sampling import NegativeSampler

ITEMS, DIM = 30, 6


def world(seed: int = 0, positions: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    histories = torch.randn(positions, DIM, generator=generator, dtype=torch.float64)
    table = torch.randn(ITEMS, DIM, generator=generator, dtype=torch.float64)
    return histories, table, torch.randint(ITEMS, (positions,), generator=generator)


@given(st.integers(0, 50))
def test_full_softmax_is_the_cross_entropy_over_all_items(seed: int) -> None:
    histories, table, targets = world(seed)
    loss = 0.0
    for history, target in zip(histories, targets, strict=True):
        scores = [float(history @ item) for item in table]
        loss += math.log(sum(math.exp(score) for score in scores)) - scores[int(target)]
    assert float(full_softmax(histories, table, targets)) == pytest.approx(loss / len(targets))


def test_sampled_softmax_is_the_full_one_when_every_other_item_is_drawn_once() -> None:
    histories, table, targets = world(positions=1)
    others = torch.tensor([item for item in range(ITEMS) if item != int(targets[0])])
    log_q = torch.full((ITEMS,), -math.log(len(others)), dtype=torch.float64)
    sampled = sampled_softmax(histories, table, targets, others, log_q)
    torch.testing.assert_close(sampled, full_softmax(histories, table, targets))


def test_a_negative_that_is_the_target_counts_nothing() -> None:
    histories, table, targets = world(positions=1)
    log_q = torch.zeros(ITEMS, dtype=torch.float64)
    only_itself = sampled_softmax(histories, table, targets, targets, log_q)
    assert float(only_itself) == pytest.approx(0)


@pytest.mark.parametrize("proposal", ["uniform", "popular"])
def test_the_correction_makes_the_partition_function_unbiased(proposal: str) -> None:
    """Averaged over many draws, exp(loss) times exp(positive) is the full partition function, whatever is drawn from."""
    histories, table, targets = world(positions=1)
    counts = np.arange(ITEMS) + 5
    sampler = NegativeSampler(counts, proposal=proposal)  # type: ignore[arg-type]
    log_q = torch.from_numpy(sampler.log_q).double()
    positive = float(histories[0] @ table[targets[0]])
    generator = np.random.default_rng(0)
    estimates = [
        math.exp(
            float(sampled_softmax(histories, table, targets, torch.from_numpy(sampler.draw(64, generator)), log_q))
            + positive
        )
        for _ in range(3000)
    ]
    truth = float((histories @ table.T).exp().sum())
    assert np.mean(estimates) == pytest.approx(truth, rel=0.03)


@given(st.integers(0, 50), st.floats(0.05, 1.0))
def test_gbce_is_its_formula(seed: int, exponent: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    positive = torch.randn(4, generator=generator, dtype=torch.float64)
    negative = torch.randn(4, 3, generator=generator, dtype=torch.float64)

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    terms = [
        math.log(sigmoid(float(p)) ** exponent) + sum(math.log(1 - sigmoid(float(n))) for n in row)
        for p, row in zip(positive, negative, strict=True)
    ]
    loss = -sum(terms) / 4 / (1 + 3)
    assert float(gbce(positive, negative, beta=exponent)) == pytest.approx(loss)


def test_beta_goes_from_plain_bce_to_the_sampling_rate() -> None:
    assert beta(negatives=10, items=101, calibration=0.0) == pytest.approx(1)
    assert beta(negatives=10, items=101, calibration=1.0) == pytest.approx(0.1)
    assert beta(negatives=100, items=101, calibration=0.3) == pytest.approx(
        1
    )  # every negative drawn: nothing to correct
    rate, t = 10 / 100, 0.75
    assert beta(negatives=10, items=101, calibration=t) == pytest.approx(rate * (t * (1 - 1 / rate) + 1 / rate))


def test_extreme_scores_stay_finite() -> None:
    huge = torch.tensor([1e4, -1e4])
    assert torch.isfinite(gbce(huge, huge[:, None], beta=0.5))
    histories, table, targets = world()
    negatives, log_q = torch.arange(ITEMS), torch.zeros(ITEMS, dtype=torch.float64)
    assert torch.isfinite(sampled_softmax(histories * 1e4, table, targets, negatives, log_q))
