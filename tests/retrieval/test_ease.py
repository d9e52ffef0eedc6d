"""EASE is ridge regression of each item on all others."""

import time
from dataclasses import replace
from threading import Event, Thread

import numpy as np
import pytest

from recsys.errors import TrainingError
from recsys.retrieval import ease
from recsys.retrieval.ease import EaseConfig, fit_ease
from recsys.retrieval.source import Query
from tests.retrieval.worlds import histories
from tests.training.planted import dataset

DATA = dataset(users=60)


def dense_interactions() -> np.ndarray:
    x = np.zeros((len(DATA), DATA.items))
    for user, history in enumerate(DATA.histories()):
        x[user, history.rows] = 1
    return x


def test_each_column_is_a_ridge_regression_without_itself() -> None:
    x, ridge = dense_interactions(), 7.0
    weights = fit_ease(DATA, EaseConfig(ridge=ridge)).matrix.toarray()
    for item in range(DATA.items):
        others = [one for one in range(DATA.items) if one != item]
        y, rest = x[:, item], x[:, others]
        solved = np.linalg.solve(rest.T @ rest + ridge * np.eye(len(others)), rest.T @ y)
        np.testing.assert_allclose(weights[others, item], solved, rtol=2e-3, atol=2e-5)
        assert weights[item, item] == 0


def test_the_largest_weights_of_each_row_are_kept_and_the_loss_is_told() -> None:
    whole = fit_ease(DATA, EaseConfig(ridge=7.0)).matrix.toarray()
    cut = fit_ease(DATA, EaseConfig(ridge=7.0, keep=5))
    largest = cut.matrix.toarray()
    assert ((largest != 0).sum(axis=1) <= 5).all()
    for row, full in zip(largest, whole, strict=True):
        assert np.abs(full[row == 0]).max() <= np.abs(row[row != 0]).min() + 1e-9
    lost = 1 - np.abs(largest).sum() / np.abs(whole).sum()
    assert cut.figures["weight_lost"] == pytest.approx(lost, abs=1e-5)


def test_the_last_events_weigh_most() -> None:
    source = fit_ease(DATA, EaseConfig(ridge=7.0, decay=0.5, window=3))
    history = DATA.history(0)
    query = Query(history, np.ones(DATA.items, dtype=np.bool_))
    scores = source.score([query], np.arange(DATA.items)[None])[0]
    matrix = source.matrix.toarray()
    expected = sum(0.5**age * matrix[row] for age, row in enumerate(history.rows[::-1][:3]))
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-6)


def test_too_large_a_catalogue_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "MAX_ITEMS", DATA.items - 1)
    with pytest.raises(TrainingError, match="30 items with events: EASE inverts a matrix"):
        fit_ease(DATA, EaseConfig())


def test_a_matrix_that_cannot_be_inverted_is_said() -> None:
    always_together = histories([0, 1], items=2)
    with pytest.raises(TrainingError, match="raise it"):
        fit_ease(always_together, EaseConfig(ridge=0.0))


def test_other_threads_run_while_a_matrix_is_inverted() -> None:
    x = np.random.default_rng(0).standard_normal((1500, 1500)).astype(np.float32)
    gram, ticks, has_ended = x @ x.T + 1500 * np.eye(1500, dtype=np.float32), list[float](), Event()

    def tick() -> None:
        while not has_ended.wait(0.001):
            ticks.append(time.monotonic())

    clock = Thread(target=tick)
    clock.start()
    started = time.monotonic()
    inverse = ease._inverse(gram.copy())
    ended = time.monotonic()
    has_ended.set()
    clock.join()
    assert inverse is not None
    np.testing.assert_allclose(inverse @ gram, np.eye(1500), atol=1e-3)
    assert sum(started < at < ended - 0.01 for at in ticks) >= 3


def test_items_without_events_neither_count_nor_change_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "MAX_ITEMS", DATA.items)
    first = replace(DATA, item_ids=("new", *DATA.item_ids, "new too"), rows=DATA.rows + 1)
    source = fit_ease(first, EaseConfig(ridge=7.0, keep=5))
    expected = fit_ease(DATA, EaseConfig(ridge=7.0, keep=5))
    np.testing.assert_array_equal(source.matrix.toarray()[1:-1, 1:-1], expected.matrix.toarray())
    assert source.matrix.nnz == expected.matrix.nnz
    assert source.known.tolist() == [False, *[True] * DATA.items, False]
    assert source.figures == expected.figures
