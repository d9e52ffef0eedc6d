"""The best of dense scores."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.retrieval.source import top

NUMBERS = st.sampled_from([0.0, 1.0, 2.0, -1.0, float("-inf"), float("nan")])


@given(scores=st.lists(NUMBERS, min_size=1, max_size=12), k=st.integers(1, 15))
def test_the_best_columns_equal_ones_in_order(scores: list[float], k: int) -> None:
    found = top(np.array([scores], dtype=np.float32), k=k)
    real = [column for column, score in enumerate(scores) if score > float("-inf")]
    expected = sorted(real, key=lambda column: -scores[column])[:k]
    assert found.rows[0].tolist() == expected + [-1] * (k - len(expected))
    assert found.scores[0, : len(expected)].tolist() == [scores[column] for column in expected]
    assert (found.scores[0, len(expected) :] == -np.inf).all()
