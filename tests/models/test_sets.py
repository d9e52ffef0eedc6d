"""Set encoders: no permutation changes them, padding counts nothing, and counts tell apart what softmax attention cannot."""

from dataclasses import asdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.encoders.deep_sets import DeepSetsConfig
from models.encoders.set_process import ProcessConfig, SetProcess
from models.encoders.set_transformer import AttentionBlock, InducedBlock, SetTransformerConfig
from models.encoders.sets import SetConfig, SetEncoder, SetPooling, set_pooling
from models.errors import ConfigError

DIM = 8
POOLINGS: list[SetPooling] = [
    DeepSetsConfig(hidden=16),
    DeepSetsConfig(hidden=16, pool="sum"),
    DeepSetsConfig(hidden=16, pool="max"),
    DeepSetsConfig(layers=0),
    ProcessConfig(hidden=16),
    ProcessConfig(hidden=16, steps=0),
    SetTransformerConfig(hidden=16, points=4),
    SetTransformerConfig(hidden=16, points=4, blocks=2, norm=False),
]
SOFT = [POOLINGS[0], POOLINGS[4], POOLINGS[6]]
"""Means, reads and attention: blind to how often everything is repeated."""


def pooling(config: SetPooling) -> nn.Module:
    torch.manual_seed(3)
    return set_pooling(config, dim=DIM).eval()


def encoder(config: SetPooling, *, taught: bool = True, **settings: object) -> SetEncoder:
    """`taught`: its pooling and its features give something."""
    torch.manual_seed(3)
    model = SetEncoder(SetConfig(pooling=config, dim=DIM, **settings)).eval()  # type: ignore[arg-type]
    for value in model.pooling.to_out.parameters() if taught else ():
        nn.init.normal_(value)
    for feature in (model.count_feature, model.size_feature):
        if taught and feature is not None:
            nn.init.normal_(feature.weight)
    return model


def elements(n: int, seed: int = 0) -> Tensor:
    return torch.randn(1, n, DIM, generator=torch.Generator().manual_seed(seed))


def everything(x: Tensor) -> Tensor:
    return torch.ones(x.shape[:2], dtype=torch.bool)


@pytest.mark.parametrize("config", POOLINGS)
def test_a_hundred_permutations_give_one_vector(config: SetPooling) -> None:
    model, x = pooling(config), elements(50)
    whole = model(x, everything(x))
    for seed in range(100):
        order = torch.randperm(50, generator=torch.Generator().manual_seed(seed))
        torch.testing.assert_close(model(x[:, order], everything(x)), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("config", POOLINGS)
@given(n=st.integers(1, 9), masked=st.integers(1, 6))
def test_masked_elements_count_nothing(config: SetPooling, n: int, masked: int) -> None:
    model, x = pooling(config), elements(n + masked)
    real = torch.arange(n + masked)[None] < n
    torch.testing.assert_close(model(x, real), model(x[:, :n], real[:, :n]), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("config", POOLINGS)
def test_an_empty_set_has_a_vector_and_gradients_that_are_numbers(config: SetPooling) -> None:
    model, x = pooling(config), elements(3).requires_grad_()
    out = model(x, torch.zeros(1, 3, dtype=torch.bool))
    assert out.shape == (1, DIM)
    assert torch.isfinite(out).all()
    out.sum().backward()
    assert x.grad is None or torch.isfinite(x.grad).all()


def test_induced_attention_moves_with_its_elements() -> None:
    config = SetTransformerConfig(hidden=16, points=4)
    torch.manual_seed(0)
    block, x = InducedBlock(config, dim=DIM).eval(), elements(12)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(block(x[:, order], everything(x)), block(x, everything(x))[:, order], atol=1e-5, rtol=0)


def test_an_attention_block_is_the_authors_formula() -> None:
    config = SetTransformerConfig(hidden=8, heads=2, norm=False)
    torch.manual_seed(0)
    block = AttentionBlock(config, queries=DIM, keys=DIM).double()
    queries, keys = elements(3).double(), elements(5, seed=1).double()
    q, k, v = block.to_q(queries)[0], block.to_k(keys)[0], block.to_v(keys)[0]
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        weights = (q[:, part] @ k[:, part].T / 8**0.5).softmax(-1)  # scaled by the full width, as in their code
        heads.append(q[:, part] + weights @ v[:, part])
    x = torch.cat(heads, dim=-1)
    torch.testing.assert_close(block(queries, keys, None)[0], x + torch.relu(block.dense(x)))


def test_induced_attention_costs_time_linear_in_the_set() -> None:
    block = InducedBlock(SetTransformerConfig(hidden=16, points=4), dim=DIM)

    def flops(n: int) -> int:
        with FlopCounterMode(display=False) as counter:
            block(elements(n), everything(elements(n)))
        return counter.get_total_flops()

    assert flops(400) - flops(200) == pytest.approx(2 * (flops(200) - flops(100)), rel=1e-6)


def test_one_step_from_nothing_reads_the_plain_mean() -> None:
    model = pooling(ProcessConfig(hidden=16, steps=1))
    assert isinstance(model, SetProcess)
    nn.init.zeros_(model.gates.bias)
    memory = model.read_block(elements(7))
    state = model.process(memory, torch.ones(1, 7, dtype=torch.bool))
    torch.testing.assert_close(state[:, 16:], memory.mean(dim=1), atol=1e-6, rtol=0)
    assert not state[:, :16].any()


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_every_step_attends_to_what_its_query_is_like(steps: int) -> None:
    """Equations 3 to 7 one element at a time, with weights so large that attention is far from uniform."""
    model = pooling(ProcessConfig(hidden=16, steps=steps)).double()
    assert isinstance(model, SetProcess)
    for value in model.parameters():
        value.data *= 3
    x = elements(6).double()
    memory = model.read_block(x)[0]
    query = cell = read = torch.zeros(16, dtype=torch.float64)
    for _ in range(steps):
        input_gate, forget_gate, candidate, output_gate = model.gates(torch.cat([query, read])).chunk(4)
        cell = forget_gate.sigmoid() * cell + input_gate.sigmoid() * candidate.tanh()
        query = output_gate.sigmoid() * cell.tanh()
        weights = torch.stack([(query @ element).exp() for element in memory])
        read = sum(
            (weight * element for weight, element in zip(weights / weights.sum(), memory, strict=True)), 0 * read
        )
    torch.testing.assert_close(model(x, everything(x))[0], model.to_out(torch.cat([query, read])))
    assert not torch.allclose(read, memory.mean(dim=0), atol=0.01)


@pytest.mark.parametrize("config", [config for config in POOLINGS if config != ProcessConfig(hidden=16, steps=0)])
def test_the_vector_of_a_set_changes_with_each_of_its_elements(config: SetPooling) -> None:
    model, x = pooling(config), elements(4)
    for i in range(4):
        other = x.clone()
        other[:, i] += 5
        assert not torch.allclose(model(other, everything(x)), model(x, everything(x)), atol=1e-4)


def test_through_the_inducing_points_each_element_attends_to_all_others() -> None:
    block = InducedBlock(SetTransformerConfig(hidden=16, points=4), dim=DIM)
    x = elements(4)
    other = x.clone()
    other[:, 1] += 5
    change = (block(other, everything(x)) - block(x, everything(x))).abs().amax(dim=(0, 2))
    assert (change > 1e-4).all()


def test_without_steps_nothing_is_read() -> None:
    model = pooling(ProcessConfig(hidden=16, steps=0))
    torch.testing.assert_close(
        model(elements(4), everything(elements(4))), model(elements(9, 1), everything(elements(9)))
    )


@pytest.mark.parametrize("config", SOFT)
def test_a_set_and_the_set_doubled_are_one_to_a_soft_read(config: SetPooling) -> None:
    model, x = pooling(config), elements(6)
    doubled = torch.cat([x, x], dim=1)
    torch.testing.assert_close(model(doubled, everything(doubled)), model(x, everything(x)), atol=1e-5, rtol=0)


def test_a_sum_sees_the_doubling() -> None:
    model, x = pooling(DeepSetsConfig(layers=0, pool="sum")), elements(6)
    doubled = torch.cat([x, x], dim=1)
    torch.testing.assert_close(model(doubled, everything(doubled)), 2 * model(x, everything(x)))


@pytest.mark.parametrize("config", SOFT)
def test_counts_tell_a_set_from_the_set_doubled(config: SetPooling) -> None:
    x, once = elements(6), torch.ones(1, 6)
    counting, plain = encoder(config), encoder(config, counts=False)
    assert not torch.allclose(counting(x, once, everything(x)), counting(x, 2 * once, everything(x)), atol=1e-4)
    torch.testing.assert_close(plain(x, once, everything(x)), plain(x, 2 * once, everything(x)))


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("config", [config for config in POOLINGS if config != DeepSetsConfig(layers=0)])
def test_untrained_it_is_the_mean_and_can_move_from_there(config: SetPooling, *, counts: bool) -> None:
    model, x = encoder(config, taught=False, counts=counts), elements(6)
    count = torch.tensor([[1.0, 2.0, 1.0, 3.0, 1.0, 0.0]])
    pooled = model(x, count, count > 0)
    torch.testing.assert_close(pooled, (x * count[..., None]).sum(dim=1) / 8)
    pooled.sum().backward()
    assert any(value.grad is not None and value.grad.any() for value in model.pooling.parameters())
    if model.size_feature is not None:
        gradient = model.size_feature.weight.grad
        assert gradient is not None
        assert gradient.all()


@pytest.mark.parametrize("config", POOLINGS)
def test_the_whole_encoder_is_free_of_order_and_padding(config: SetPooling) -> None:
    model, x = encoder(config), elements(6)
    count = torch.tensor([[1.0, 2.0, 1.0, 3.0, 1.0, 1.0]])
    real = torch.tensor([[True] * 5 + [False]])
    order = torch.tensor([4, 2, 0, 1, 3])
    torch.testing.assert_close(
        model(x, count, real), model(x[:, order], count[:, order], real[:, order]), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DeepSetsConfig(layers=-1), "layers at least 0"),
        (lambda: ProcessConfig(hidden=0), "at least 1"),
        (lambda: SetTransformerConfig(hidden=10, heads=4), "hidden=10 does not split into heads=4"),
        (lambda: SetConfig(dropout=1.5), "must be in"),
    ],
)
def test_settings_that_make_no_model_are_refused(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=message):
        make()


def test_no_two_poolings_have_the_same_settings() -> None:
    """A bundle tells them apart by what their settings are called."""
    names = [tuple(sorted(asdict(config))) for config in (DeepSetsConfig(), ProcessConfig(), SetTransformerConfig())]
    assert len(set(names)) == 3
