"""The challenge's figures by hand, and the protocol over a trained bundle."""

import numpy as np
import pytest

from recsys.evaluation.continuation_protocol import _row, evaluate_continuations
from recsys.metrics.continuation import figures
from recsys.service import Recommender
from recsys.store import Store
from recsys.store.records import ItemDraft
from tests.worlds import Planted


def test_figures_are_those_of_the_challenge() -> None:
    rows = np.full((2, 500), -1, dtype=np.int64)
    rows[0, :13] = np.arange(13)
    metrics = figures(rows, [np.array([1, 12, 99]), np.array([4])])
    np.testing.assert_allclose(metrics.r_precision, [1 / 3, 0])
    ideal = 1 + 1 / np.log2(3) + 1 / np.log2(4)
    np.testing.assert_allclose(metrics.ndcg, [(1 / np.log2(3) + 1 / np.log2(14)) / ideal, 0])
    np.testing.assert_array_equal(metrics.clicks, [0, 51])
    assert figures(rows[:1], [np.array([12])]).clicks[0] == 1


def test_the_fusion_continues_lists_held_out_better_than_popularity(
    served: tuple[Recommender, Store, Planted],
) -> None:
    rows = {(row.part, row.seeds, row.order): row for row in evaluate_continuations(served[1])}
    assert {seeds for _, seeds, _ in rows} == {0, 1, 5}  # the lists have ten items
    for seeds in (1, 5):
        ours, popular = (rows[part, seeds, "sensitive"] for part in ("continue", "popular"))
        assert ours.r_precision.mean > popular.r_precision.mean
        assert ours.clicks.mean == pytest.approx(0, abs=0.5)


def test_items_never_trained_are_told_apart() -> None:
    rows = np.full((2, 500), -1, dtype=np.int64)
    rows[0, :3], rows[1, :2] = [1, 2, 5], [3, 6]
    known = np.array([True] * 5 + [False] * 3)
    row = _row("part", 1, "free", rows, [np.array([1, 5, 6]), np.array([3, 4])], known)
    assert row.r_precision.mean == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert row.trained is not None
    assert row.trained.mean == pytest.approx((1 + 1 / 2) / 2)  # of 1; of 3 and 4
    assert row.cold is not None
    assert row.cold.mean == pytest.approx(1 / 2)  # of 5 and 6, in one list
    none = _row("part", 1, "free", rows, [np.array([5, 6]), np.array([6])], ~known & False)
    assert none.trained is None
    assert _row("part", 1, "free", rows, [np.array([1]), np.array([3])], known).cold is None


def test_an_item_that_came_since_does_not_stop_the_measuring(served: tuple[Recommender, Store, Planted]) -> None:
    before = list(evaluate_continuations(served[1]))
    assert {row.order for row in before} == {"sensitive", "free"}
    served[1].put_items([ItemDraft(item_id="new", title="new")])
    assert list(evaluate_continuations(served[1])) == before
