"""The contract of every mixer of the union and of the encoder over it, and of mixers that stream."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from models.batch import Timeline
from models.encoders.sequence import SequenceConfig, SequenceEncoder
from models.errors import ConfigError
from models.mixers import MixerConfig, build_mixer, mixer_config
from models.streaming import Mixer, StreamingMixer
from tests.models.timelines import event, timeline

DIM, MAX_LENGTH = 8, 12


@dataclass(frozen=True, slots=True)
class Average:
    """`value` (batch, 1, dim)."""

    value: Tensor


class MovingAverage(nn.Module):
    """For these tests alone: the exponential moving average `y_t = decay * y_{t-1} + (1 - decay) * x_t`."""

    def __init__(self, dim: int, *, decay: float = 0.7) -> None:
        super().__init__()
        self.dim, self.decay = dim, decay

    def forward(self, x: Tensor, when: Timeline) -> Tensor:
        """A sum over all earlier events, weighted by age."""
        age = when.order[:, :, None] - when.order[:, None, :]
        weights = (1 - self.decay) * self.decay ** age.clamp(min=0).to(x.dtype)
        return weights.masked_fill(age < 0, 0.0) @ x

    def start(self, batch_size: int) -> Average:
        return Average(torch.zeros(batch_size, 1, self.dim, dtype=torch.float64))

    def step(self, state: Average, x: Tensor, when: Timeline) -> tuple[Average, Tensor]:
        value = torch.where(when.real[..., None], self.decay * state.value + (1 - self.decay) * x, state.value)
        return Average(value), value


class FromPadding(MovingAverage):
    """Wrong: padding changes the state."""

    def step(self, state: Average, x: Tensor, when: Timeline) -> tuple[Average, Tensor]:
        return super().step(state, x, replace(when, real=torch.ones_like(when.real)))


class Forgetful(MovingAverage):
    """Wrong: a step does not decay the state."""

    def step(self, state: Average, x: Tensor, when: Timeline) -> tuple[Average, Tensor]:  # noqa: ARG002  (it is wrong)
        value = state.value + (1 - self.decay) * x
        return Average(value), value


class Leaking(MovingAverage):
    """Wrong: an event sees those after it, and what stands on padding."""

    def forward(self, x: Tensor, when: Timeline) -> Tensor:  # noqa: ARG002  (it is wrong)
        return x + x.mean(dim=1, keepdim=True)


def union() -> list[MixerConfig]:
    """Default settings of every mixer; a union of one has no arguments."""
    return [kind() for kind in get_args(MixerConfig) or (MixerConfig,)]


def encoder(config: MixerConfig) -> SequenceEncoder:
    return SequenceEncoder(SequenceConfig(dim=DIM, layers=2, max_length=MAX_LENGTH, mixer=config))


BUILDERS: dict[str, Callable[[], nn.Module]] = {"moving average": lambda: MovingAverage(DIM)}
for settings in union():
    BUILDERS[settings.kind] = lambda c=settings: build_mixer(c, dim=DIM)  # type: ignore[misc]
    BUILDERS[f"encoder over {settings.kind}"] = lambda c=settings: encoder(c)  # type: ignore[misc]


def built(name: str) -> Mixer:
    torch.manual_seed(1)
    mixer = BUILDERS[name]().double().eval()
    assert isinstance(mixer, Mixer)
    return mixer


def events(*lengths: int) -> Tensor:
    """Vectors also on padding, so that a mixer that looks there is seen to."""
    generator = torch.Generator().manual_seed(sum(lengths))
    return torch.randn(len(lengths), max(lengths), DIM, dtype=torch.float64, generator=generator)


def check_causality(mixer: Mixer, time: int, later: int) -> None:
    x = events(time + later, time + later)
    whole = mixer.forward(x, timeline(time + later, time + later))
    torch.testing.assert_close(whole[:, :time], mixer.forward(x[:, :time], timeline(time, time)))


def check_independence(mixer: Mixer, length: int, padding: int) -> None:
    x = events(length, length + padding, 1)
    batch = mixer.forward(x, timeline(length, length + padding, 1))
    torch.testing.assert_close(batch[:1, :length], mixer.forward(x[:1, :length], timeline(length)))


def check_steps(mixer: StreamingMixer[Average], length: int, padding: int) -> None:
    """Every real row of the whole, and the same again after padding: a step on padding keeps the state."""
    lengths = (length, length + padding)
    x, when = events(*lengths), timeline(*lengths)
    whole, state = mixer.forward(x, when), mixer.start(2)
    for number in range(x.shape[1]):
        before = {name: value.clone() for name, value in tensors(state).items()}
        after, y = mixer.step(state, x[:, number : number + 1], event(when, number))
        real = when.real[:, number]
        torch.testing.assert_close(y[real, 0], whole[real, number])
        for name, value in tensors(after).items():
            torch.testing.assert_close(tensors(state)[name], before[name], rtol=0, atol=0)
            torch.testing.assert_close(value[~real], before[name][~real], rtol=0, atol=0)
        state = after


def tensors(state: Average) -> dict[str, Tensor]:
    return {name: getattr(state, name) for name in state.__slots__}


@pytest.mark.parametrize("name", BUILDERS)
@given(time=st.integers(1, 6), later=st.integers(1, 6))
def test_later_events_never_change_an_earlier_one(name: str, time: int, later: int) -> None:
    check_causality(built(name), time, later)


@pytest.mark.parametrize("name", BUILDERS)
@given(length=st.integers(1, 6), padding=st.integers(1, 6))
def test_neither_padding_nor_the_batch_changes_a_real_event(name: str, length: int, padding: int) -> None:
    check_independence(built(name), length, padding)


@pytest.mark.parametrize("name", [name for name, build in BUILDERS.items() if isinstance(build(), StreamingMixer)])
@given(length=st.integers(1, 6), padding=st.integers(0, 6))
def test_stepping_equals_the_whole(name: str, length: int, padding: int) -> None:
    mixer = built(name)
    assert isinstance(mixer, StreamingMixer)
    check_steps(mixer, length, padding)


def test_the_contract_refuses_mixers_that_break_it() -> None:
    with pytest.raises(AssertionError):
        check_causality(Leaking(DIM), 3, 2)
    with pytest.raises(AssertionError):
        check_independence(Leaking(DIM), 3, 2)
    for wrong in (FromPadding(DIM), Forgetful(DIM)):
        with pytest.raises(AssertionError):
            check_steps(wrong, 3, 2)


@pytest.mark.parametrize("config", union(), ids=lambda config: config.kind)
def test_a_config_survives_json(config: MixerConfig) -> None:
    assert mixer_config(json.loads(json.dumps(asdict(config)))) == config


def test_every_mixer_has_a_kind_of_its_own() -> None:
    kinds = [config.kind for config in union()]
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("settings", [{}, {"kind": "none", "heads": 2}])
def test_settings_of_an_unknown_mixer_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"mixer kind=.*: choose full"):
        mixer_config(settings)
