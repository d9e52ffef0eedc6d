"""Each token passes through its expert and no other, however they are gathered."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.errors import ConfigError
from models.feedforward.dense import Dense
from models.feedforward.experts import Experts, route

DIM = 8


def experts(count: int) -> Experts:
    torch.manual_seed(0)
    return Experts([Dense(dim=DIM, expansion=2).double() for _ in range(count)])


def naive(layer: Experts, x: Tensor, expert: Tensor, real: Tensor) -> Tensor:
    """One token at a time."""
    out = torch.zeros_like(x)
    for row in range(x.shape[0]):
        for position in range(x.shape[1]):
            if real[row, position]:
                out[row, position] = layer.experts[int(expert[row, position])](x[row, position])
    return out


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=6), st.booleans())
def test_it_matches_the_loop_over_tokens(texts: list[tuple[int, int]], by_token: bool) -> None:
    lengths, labels = zip(*texts, strict=True)
    real = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    x = torch.randn(*real.shape, DIM, dtype=torch.float64)
    expert = torch.tensor(labels)
    each = torch.randint(0, 4, real.shape) if by_token else expert[:, None].expand_as(real)
    layer = experts(4)
    got = layer(x, route(each if by_token else expert, real, experts=4))
    torch.testing.assert_close(got[real], naive(layer, x, each, real)[real])


def test_one_label_is_not_sorted() -> None:
    real = torch.ones(3, 4, dtype=torch.bool)
    assert route(torch.tensor([2, 2, 2]), real, experts=4).order is None
    assert route(torch.tensor([2, 1, 2]), real, experts=4).groups == ((1, 4), (2, 8))


def test_labels_of_padding_count_nothing() -> None:
    real = torch.tensor([[True, True, False]])
    assert route(torch.tensor([[1, 1, 9]]), real, experts=4).groups == ((1, 2),)


def test_copies_start_alike_and_part_ways() -> None:
    layer = Experts.copies(Dense(dim=DIM, expansion=2), experts=2)
    first, second = layer.experts
    first.up.weight.data += 1  # type: ignore[operator, union-attr]
    assert not torch.equal(first.up.weight, second.up.weight)  # type: ignore[arg-type, union-attr]


def test_an_expert_that_is_not_there_is_refused() -> None:
    real = torch.ones(2, 2, dtype=torch.bool)
    with pytest.raises(ConfigError, match="expert 5: there are 4, counted from 0"):
        route(torch.tensor([0, 5]), real, experts=4)
    with pytest.raises(ConfigError, match="at least the general one"):
        Experts([])
