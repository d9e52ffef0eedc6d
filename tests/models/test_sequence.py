"""The sequence encoder and full attention: against a naive loop. The contract of mixers is in `test_mixers`."""

from dataclasses import asdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.encoders.sequence import SequenceConfig, SequenceEncoder
from models.errors import ConfigError, ShapeError
from models.mixers import mixer_config
from models.mixers.full import FullAttention, FullConfig
from models.pooling.last import last
from tests.models.timelines import timeline

SMALL = SequenceConfig(dim=8, layers=2, max_length=12, dropout=0.3)


def mixer() -> FullAttention:
    torch.manual_seed(1)
    return FullAttention(FullConfig(heads=2), dim=8).double().eval()


def encoder() -> SequenceEncoder:
    torch.manual_seed(1)
    return SequenceEncoder(SMALL).double().eval()


def naive(m: FullAttention, x: Tensor) -> Tensor:
    """One query and one head at a time."""
    q, k, v = (t.unflatten(-1, (m.config.heads, -1)) for t in m.to_qkv(x).chunk(3, dim=-1))
    rows = []
    for i in range(x.shape[1]):
        heads = []
        for h in range(m.config.heads):
            score = torch.stack([(q[:, i, h] * k[:, j, h]).sum(-1) for j in range(i + 1)], -1) / q.shape[-1] ** 0.5
            weight = score.exp() / score.exp().sum(-1, keepdim=True)
            heads.append(sum(weight[:, j, None] * v[:, j, h] for j in range(i + 1)))
        rows.append(torch.cat(heads, dim=-1))
    return m.to_out(torch.stack(rows, dim=1))


@given(time=st.integers(1, 9))
def test_attention_matches_the_naive_loop(time: int) -> None:
    x = torch.randn(2, time, 8, dtype=torch.float64)
    torch.testing.assert_close(mixer()(x, timeline(time, time)), naive(mixer(), x))


def test_the_order_of_events_matters() -> None:
    x = torch.randn(1, 4, 8, dtype=torch.float64)
    swapped = x[:, [1, 0, 2, 3]]
    assert not torch.allclose(encoder()(x, timeline(4))[:, -1], encoder()(swapped, timeline(4))[:, -1])


def test_the_same_event_again_and_again_differs_by_its_position() -> None:
    x = torch.randn(1, 1, 8, dtype=torch.float64).expand(1, 4, 8)
    y = encoder()(x, timeline(4))[0]
    assert all(not torch.allclose(y[i], y[j]) for i in range(4) for j in range(i))


def test_the_vector_of_a_history_is_that_of_its_last_event() -> None:
    y = torch.arange(12.0).view(2, 3, 2)
    torch.testing.assert_close(last(y, timeline(2, 3)), torch.tensor([[2.0, 3.0], [10.0, 11.0]]))


def test_dropout_acts_in_training_alone() -> None:
    x, model = torch.randn(1, 5, 8, dtype=torch.float64), encoder()
    torch.testing.assert_close(model(x, timeline(5)), model(x, timeline(5)))
    model.train()
    assert not torch.equal(model(x, timeline(5)), model(x, timeline(5)))


def test_more_events_than_it_takes_are_refused() -> None:
    with pytest.raises(ShapeError, match="13 events: this encoder takes 12; cut to the last ones"):
        encoder()(torch.randn(1, 13, 8, dtype=torch.float64), timeline(13))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"dim": 0}, "at least 1"), ({"dropout": 1.0}, "must be in"), ({"layers": 0}, "at least 1")],
)
def test_settings_that_make_no_model_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SequenceConfig(**settings)  # type: ignore[arg-type]


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="dim=8 does not split into heads=3"):
        FullAttention(FullConfig(heads=3), dim=8)
    with pytest.raises(ConfigError, match="at least one"):
        FullConfig(heads=0)


def test_the_settings_survive_json() -> None:
    stored = asdict(SMALL)
    assert SequenceConfig(**(stored | {"mixer": mixer_config(stored["mixer"])})) == SMALL
