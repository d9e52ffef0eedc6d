"""Popular items are counted, recent ones over the latest events."""

from collections import Counter
from math import ceil

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.dataset import Dataset
from recsys.retrieval.popular import PopularConfig, fit_popular
from tests.retrieval.worlds import drawn, everything, histories, query


def counts(data: Dataset, share: float) -> list[int]:
    fitted = fit_popular(data, PopularConfig(share=share))
    scores = fitted.score([query([], allowed=data.items)], everything(1, items=data.items))[0]
    return np.rint(np.expm1(scores)).astype(int).tolist()


@given(seed=st.integers(0, 30))
def test_all_events_count_alike(seed: int) -> None:
    data = drawn(np.random.default_rng(seed))
    counter = Counter(data.rows.tolist())
    assert counts(data, 1.0) == [counter[row] for row in range(data.items)]


@given(seed=st.integers(0, 30), share=st.floats(0.01, 1))
def test_the_latest_share_of_dated_events_counts(seed: int, share: float) -> None:
    generator = np.random.default_rng(seed)
    data = drawn(generator)
    at = generator.permutation(len(data.rows)).astype(np.float64)
    dated = histories(*[history.rows.tolist() for history in data.histories()], items=data.items, at=at)
    latest = sorted(range(len(at)), key=lambda event: -at[event])[: ceil(share * len(at))]
    counter = Counter(int(data.rows[event]) for event in latest)
    assert counts(dated, share) == [counter[row] for row in range(data.items)]


def test_without_times_the_ends_of_the_histories_are_the_latest() -> None:
    data = histories([0, 0, 0, 1], [0, 0, 0, 2], [0, 0, 0, 1], items=4)
    assert counts(data, 0.25) == [0, 2, 1, 0]


def test_equals_keep_catalogue_order_and_the_uncounted_come_last() -> None:
    source = fit_popular(histories([3, 1, 1], items=4), PopularConfig())
    assert source.search([query([], allowed=6)], k=6).rows.tolist() == [[1, 3, 0, 2, 4, 5]]
