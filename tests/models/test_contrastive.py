"""The ranking losses against their formulas, and what they must not see."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.batch import TokenBatch
from models.encoders.text import TextEncoder, TextEncoderConfig
from models.errors import ConfigError
from models.objectives.contrastive import MASKED_LOGIT, distillation_kl, keep_hard_negatives, multiple_negatives_loss
from models.objectives.nested import checked_pairs, sampled_pairs
from models.pooling.nested import truncate


def naive(logits: Tensor, positives: Tensor) -> float:
    """Query by query, positive by positive, from the definition."""
    losses = []
    for row, marked in zip(logits.tolist(), positives.tolist(), strict=True):
        negatives = sum(np.exp(x) for x, positive in zip(row, marked, strict=True) if not positive)
        each = [
            -np.log(np.exp(x) / (np.exp(x) + negatives)) for x, positive in zip(row, marked, strict=True) if positive
        ]
        losses.extend([np.mean(each)] if each else [])
    return float(np.mean(losses)) if losses else 0.0


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(2, 8))
def test_ranking_is_the_mean_cross_entropy_among_the_negatives(seed: int, queries: int, keys: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(queries, keys, generator=generator, dtype=torch.float64)
    positives = torch.rand(queries, keys, generator=generator) < 0.4
    positives[:, 0] = False
    assert float(multiple_negatives_loss(logits, positives)) == pytest.approx(naive(logits, positives), abs=1e-9)


def test_one_positive_is_no_negative_of_another() -> None:
    positives = torch.tensor([[True, True, False]])
    loss = multiple_negatives_loss(torch.tensor([[2.0, -5.0, 0.0]], dtype=torch.float64), positives)
    better = multiple_negatives_loss(torch.tensor([[9.0, -5.0, 0.0]], dtype=torch.float64), positives)
    assert better < loss  # a closer first positive never raises the loss of the second


def test_a_batch_without_positives_costs_nothing_and_has_a_gradient() -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    loss = multiple_negatives_loss(logits, torch.zeros(3, 4, dtype=torch.bool))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss == 0
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_only_the_hardest_negatives_stay() -> None:
    logits = torch.tensor([[5.0, 4.0, 3.0, 2.0, 1.0]])
    positives = torch.tensor([[False, True, False, False, False]])
    assert keep_hard_negatives(logits, positives, negatives=2).tolist() == [[5.0, 4.0, 3.0, MASKED_LOGIT, MASKED_LOGIT]]
    assert torch.equal(keep_hard_negatives(logits, positives, negatives=9), logits)


def test_a_student_with_the_teachers_ranking_has_nothing_to_learn() -> None:
    logits = torch.randn(3, 5, dtype=torch.float64)
    assert float(distillation_kl(logits + 7, logits)) == pytest.approx(0, abs=1e-12)
    assert float(distillation_kl(-logits, logits)) > 0.1


def test_the_teacher_of_the_alignment_learns_nothing() -> None:
    """With this term alone, the layers above the student have no gradient at all."""
    torch.manual_seed(0)
    encoder = TextEncoder(TextEncoderConfig(vocabulary=20, dim=8, layers=3, heads=2))
    made = encoder.exits(TokenBatch(torch.randint(1, 20, (4, 5)), torch.ones(4, 5, dtype=torch.bool)), {1, 3})
    student, teacher = (truncate(made[layers], None) @ truncate(made[layers], None).T for layers in (1, 3))
    distillation_kl(student, teacher).backward()  # type: ignore[no-untyped-call]
    moved = {
        name.split(".")[1]
        for name, weight in encoder.named_parameters()
        if weight.grad is not None and "layers" in name
    }
    assert moved == {"0"}


def test_the_whole_encoder_is_always_one_of_the_pairs() -> None:
    assert checked_pairs([(1, 8), (2, 4), (1, 8)], layers=3, dim=8) == ((3, 8), (2, 4), (1, 8))
    assert checked_pairs([], layers=3, dim=8) == ((3, 8),)
    with pytest.raises(ConfigError, match=r"pair \(4, 8\): this encoder has 1 to 3 layers"):
        checked_pairs([(4, 8)], layers=3, dim=8)


@given(st.integers(0, 50))
def test_sampled_pairs_are_both_layers_at_both_widths(seed: int) -> None:
    whole, narrow, early, small = sampled_pairs(np.random.default_rng(seed), layers=6, dim=384)
    assert whole == (6, 384)
    assert narrow[0] == 6
    assert early[1] == 384
    assert small == (early[0], narrow[1])
    assert 1 <= early[0] <= 5
    assert narrow[1] in (8, 16, 32, 64, 128, 256)
