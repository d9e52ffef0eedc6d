"""The challenge's figures by hand, and the protocol over a trained bundle."""

import numpy as np
import pytest

from recsys.evaluation.continuation import figures
from recsys.evaluation.continuation_run import continued
from recsys.service import Recommender
from recsys.store import Store
from tests.worlds import Planted


def test_figures_are_those_of_the_challenge() -> None:
    rows = np.full((2, 500), -1, dtype=np.int64)
    rows[0, :13] = np.arange(13)
    found = figures(rows, [np.array([1, 12, 99]), np.array([4])])
    np.testing.assert_allclose(found.r_precision, [1 / 3, 0])
    ideal = 1 + 1 / np.log2(3) + 1 / np.log2(4)
    np.testing.assert_allclose(found.ndcg, [(1 / np.log2(3) + 1 / np.log2(14)) / ideal, 0])
    np.testing.assert_array_equal(found.clicks, [0, 51])
    assert figures(rows[:1], [np.array([12])]).clicks[0] == 1


def test_the_fusion_continues_lists_held_out_better_than_popularity(
    served: tuple[Recommender, Store, Planted],
) -> None:
    rows = {(row.part, row.seeds, row.order): row for row in continued(served[1])}
    assert {seeds for _, seeds, _ in rows} == {0, 1, 5}  # the lists have ten items
    for seeds in (1, 5):
        ours, popular = (rows[part, seeds, "sensitive"] for part in ("continue", "popular"))
        assert ours.r_precision.mean > popular.r_precision.mean
        assert ours.clicks.mean == pytest.approx(0, abs=0.5)
