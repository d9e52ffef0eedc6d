"""The pointer is trained in orders that it searches for, and never points at what it has written."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys.training.lists import pointer
from recsys.training.lists.set_encoder import train_sets
from recsys.training.plan import RunContext
from tests.training.lists.worlds import SETS, dataset


@pytest.mark.slow
@pytest.mark.parametrize("warmup", [0, 1])
def test_orders_are_uniform_in_the_warm_up_and_searched_afterwards(
    monkeypatch: pytest.MonkeyPatch, warmup: int
) -> None:
    orders = list[str]()
    for name in ("uniform_order", "sampled_order"):
        whole = getattr(pointer, name)

        def noted(*arguments: object, name: str = name, whole: object = whole, **options: object) -> object:
            orders.append(name)
            return whole(*arguments, **options)  # type: ignore[operator]

        monkeypatch.setattr(pointer, name, noted)
    assert SETS.completion is not None
    recipe = replace(
        SETS, loop=replace(SETS.loop, epochs=1), completion=replace(SETS.completion, warmup=warmup, candidates=10)
    )
    list(train_sets(recipe, fit=dataset(), validation=None, text=None, context=RunContext(name="set")))
    uniform = orders.count("uniform_order")
    assert orders == ["uniform_order"] * uniform + ["sampled_order"] * (len(orders) - uniform)
    assert (uniform > 0) == bool(warmup)
    assert len(orders) > uniform


def test_a_step_cannot_repeat_what_earlier_ones_wrote_but_for_padding() -> None:
    targets = torch.tensor([[2, 0, 1], [1, 1, 1]])  # the second set has one target, repeated as padding
    logits = torch.ones(2, 3, 4)
    masked = pointer._mask_repeats(logits, targets) < 0
    expected = np.zeros((2, 3, 4), dtype=np.bool_)
    expected[0, 1, 2] = expected[0, 2, 2] = expected[0, 2, 0] = True
    np.testing.assert_array_equal(masked.numpy(), expected)
