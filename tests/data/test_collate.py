"""Histories become padded tensors, in batches of like length within a budget."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.batch import FIRST_ITEM, PADDING
from recsys.data.collate import collate
from recsys.encoders.batching import length_buckets

HISTORIES = st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=6)


@given(HISTORIES)
def test_rows_go_in_and_come_out_again(histories: list[list[int]]) -> None:
    batch = collate([np.array(rows, dtype=np.int64) for rows in histories])
    assert batch.items.shape[1] == max(1, *map(len, histories))
    for rows, items, real, order in zip(histories, batch.items, batch.when.real, batch.when.order, strict=True):
        assert (items[real] - FIRST_ITEM).tolist() == rows
        assert (items[~real] == PADDING).all()
        assert real.tolist() == [position < len(rows) for position in range(len(real))]  # padding is on the right
        assert order.tolist() == list(range(len(order)))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(1, 100), st.integers(0, 5))
def test_every_history_stands_in_one_batch_within_the_budget(lengths: list[int], tokens: int, seed: int) -> None:
    sizes = np.array(lengths)
    batches = list(length_buckets(sizes, tokens=tokens, generator=np.random.default_rng(seed)))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or sizes[batch].max() * len(batch) <= tokens


def test_little_is_padded_and_the_order_changes_with_the_seed() -> None:
    sizes = np.random.default_rng(0).integers(1, 200, 1000)
    first, second = (list(length_buckets(sizes, tokens=2000, generator=np.random.default_rng(seed))) for seed in (1, 2))
    padded = sum(sizes[batch].max() * len(batch) for batch in first)
    assert sizes.sum() / padded > 0.9
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in second]
