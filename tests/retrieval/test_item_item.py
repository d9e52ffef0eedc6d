"""Markov chains, item neighbours and EASE against loops that are too simple to be wrong in the same way."""

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recsys.data.dataset import Dataset
from recsys.data.history import NO_ROWS, History
from recsys.errors import TrainingError
from recsys.retrieval import neighbours
from recsys.retrieval.ease import EaseConfig, fit_ease
from recsys.retrieval.item_item import ItemItemSource, keep_largest
from recsys.retrieval.markov import MarkovConfig, fit_markov
from recsys.retrieval.neighbours import NeighboursConfig, fit_neighbours, interactions
from recsys.retrieval.source import Query
from tests.retrieval.worlds import drawn, everything, histories, query


def naive_markov(data: Dataset, config: MarkovConfig) -> NDArray[np.float64]:
    """Pair by pair."""
    pairs = np.zeros((data.items, data.items))
    for history in data.histories():
        rows = history.rows.tolist()
        for later in range(len(rows)):
            for gap in range(1, config.reach + 1):
                if later >= gap and rows[later - gap] != rows[later]:
                    pairs[rows[later - gap], rows[later]] += 1 / gap
    share = pairs / (pairs.sum(axis=1, keepdims=True) + config.shrink)
    return share / np.maximum(data.counts(), 1.0) ** config.popularity


def naive_neighbours(data: Dataset, config: NeighboursConfig) -> NDArray[np.float64]:
    owners = [{user for user, had in enumerate(data.histories()) if row in had.rows} for row in range(data.items)]
    out = np.zeros((data.items, data.items))
    for a in range(data.items):
        alike = {
            b: len(owners[a] & owners[b]) / (sqrt(len(owners[a]) * len(owners[b])) + config.shrink)
            for b in range(data.items)
            if b != a and owners[a] & owners[b]
        }
        for b in sorted(alike, key=lambda b: -alike[b])[: config.keep]:
            out[a, b] = alike[b]
    return out


def naive_ease(data: Dataset, ridge: float) -> NDArray[np.float64]:
    """Each item from all others by ridge regression: what the closed form promises to be."""
    x = interactions(data).toarray().astype(np.float64)
    out = np.zeros((data.items, data.items))
    for target in range(data.items):
        others = [row for row in range(data.items) if row != target]
        a = x[:, others]
        out[others, target] = np.linalg.solve(a.T @ a + ridge * np.eye(len(others)), a.T @ x[:, target])
    return out


@given(seed=st.integers(0, 50), reach=st.integers(1, 6), popularity=st.sampled_from([0.0, 0.5]))
def test_markov_counts_successors_in_a_window(seed: int, reach: int, popularity: float) -> None:
    data = drawn(np.random.default_rng(seed))
    config = MarkovConfig(reach=reach, popularity=popularity)
    np.testing.assert_allclose(fit_markov(data, config).matrix.toarray(), naive_markov(data, config), rtol=1e-5)


def test_markov_takes_histories_shorter_than_its_reach() -> None:
    matrix = fit_markov(histories([0, 1], [], [2], items=3), MarkovConfig(reach=10, shrink=1.0)).matrix.toarray()
    assert matrix[0, 1] == 0.5  # one pair over one and the shrinkage
    assert np.count_nonzero(matrix) == 1


@given(seed=st.integers(0, 50), keep=st.integers(1, 12))
def test_neighbours_are_the_shrunk_cosines_and_of_equals_the_first(seed: int, keep: int) -> None:
    data = drawn(np.random.default_rng(seed))
    config = NeighboursConfig(keep=keep, shrink=2.0)
    fitted = fit_neighbours(data, config).matrix.toarray()
    np.testing.assert_allclose(fitted, naive_neighbours(data, config), rtol=1e-5)


@pytest.mark.parametrize("block", [1, 5])
def test_neighbours_found_in_blocks_are_the_same(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    data, config = drawn(np.random.default_rng(3)), NeighboursConfig(keep=3, shrink=2.0)
    whole = fit_neighbours(data, config).matrix.toarray()
    monkeypatch.setattr(neighbours, "ITEMS_PER_BLOCK", block)
    np.testing.assert_array_equal(fit_neighbours(data, config).matrix.toarray(), whole)


@given(seed=st.integers(0, 20), ridge=st.floats(0.5, 100))
def test_ease_is_one_ridge_regression_an_item(seed: int, ridge: float) -> None:
    data = drawn(np.random.default_rng(seed))
    fitted = fit_ease(data, EaseConfig(ridge=ridge)).matrix.toarray()
    np.testing.assert_allclose(fitted, naive_ease(data, ridge), rtol=1e-3, atol=1e-5)
    assert (np.diag(fitted) == 0).all()


def test_ease_keeps_the_largest_weights_and_reports_what_it_lost() -> None:
    data = drawn(np.random.default_rng(0))
    whole, few = naive_ease(data, 5.0), fit_ease(data, EaseConfig(ridge=5.0, keep=3))
    assert np.diff(few.matrix.indptr).max() <= 3
    largest = few.matrix.toarray()
    for row in range(data.items):
        smallest = np.abs(largest[row][largest[row] != 0]).min(initial=np.inf)
        assert (np.abs(whole[row][largest[row] == 0]) <= smallest + 1e-5).all()
    lost = 1 - np.abs(largest).sum() / np.abs(whole).sum()
    assert few.part("ease").figures["weight_lost"] == pytest.approx(lost, rel=1e-3)
    assert 0 < lost < 1
    assert fit_ease(data, EaseConfig(ridge=5.0)).figures["weight_lost"] == pytest.approx(0, abs=1e-6)


def test_a_catalogue_too_large_for_ease_is_refused_before_any_memory_is_taken() -> None:
    with pytest.raises(TrainingError, match=r"20001 items with events: EASE .* up to 20000"):
        fit_ease(histories(list(range(20_001)), items=20_002), EaseConfig())


def test_a_matrix_that_cannot_be_inverted_is_told() -> None:
    with pytest.raises(TrainingError, match=r"ridge=0\.0; raise it"):
        fit_ease(histories([0, 1], items=3), EaseConfig(ridge=0.0))


@given(rows=st.integers(1, 9), columns=st.integers(1, 9), keep=st.integers(1, 12), seed=st.integers(0, 9))
def test_keeping_the_largest_loses_what_it_says(rows: int, columns: int, keep: int, seed: int) -> None:
    dense = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)
    largest, lost = keep_largest(dense, keep=keep)
    for row, sparse in zip(dense, largest.toarray(), strict=True):
        expected = sorted(np.abs(row))[-keep:]
        np.testing.assert_array_equal(sorted(np.abs(sparse[sparse != 0])), expected)
    assert lost == pytest.approx(1 - np.abs(largest.toarray()).sum() / np.abs(dense).sum(), abs=1e-6)


def naive_scores(source: ItemItemSource, past: list[int]) -> NDArray[np.float64]:
    matrix = source.matrix.toarray().astype(np.float64)
    recent = [row for row in past if row < len(source.known) and source.known[row]][-source.window :]
    out = np.zeros(len(matrix))
    for age, row in enumerate(reversed(recent)):
        out += source.decay**age * matrix[row]
    return out


@given(past=st.lists(st.integers(0, 14), min_size=1, max_size=30), window=st.integers(1, 20), decay=st.floats(0.1, 1))
def test_a_history_weighs_by_how_long_ago_each_known_event_was(past: list[int], window: int, decay: float) -> None:
    data = drawn(np.random.default_rng(3))
    source = fit_markov(data, MarkovConfig(window=window)).with_query_time(decay=decay)
    scores = source.score([query(past, allowed=20)], everything(1, items=20))[0]
    known = np.flatnonzero(source.known)
    if any(row in known for row in past):
        np.testing.assert_allclose(scores[known], naive_scores(source, past)[known], rtol=1e-4, atol=1e-6)
    else:
        assert np.isnan(scores).all()
    assert np.isnan(np.delete(scores, known)).all()


def test_negative_weights_count_and_are_not_recommended() -> None:
    matrix = sp.csr_matrix(np.array([[0, 2, -1, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=np.float32))
    source = ItemItemSource(matrix, kind="markov", known=np.ones(4, dtype=np.bool_), decay=1, window=9, config={})
    questions = [query([0], allowed=4)]
    assert source.search(questions, k=4).rows.tolist() == [[1, -1, -1, -1]]
    assert source.score(questions, everything(1, items=4)).tolist() == [[0, 2, -1, 0]]


def test_an_item_counts_once_a_user_in_what_goes_together() -> None:
    data = histories([0, 0, 1], [1], [], items=3)
    assert interactions(data).toarray().tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_scores_after_other_histories_are_not_reused() -> None:
    matrix = sp.csr_matrix(np.array([[0, 2, 0], [0, 0, 3], [0, 0, 0]], dtype=np.float32))
    source = ItemItemSource(matrix, kind="markov", known=np.ones(3, dtype=np.bool_), decay=1, window=9, config={})
    first, second = [query([0], allowed=3)], [query([1], allowed=3)]
    assert source.search(first, k=1).rows.tolist() == [[1]]
    assert source.score(second, everything(1, items=3)).tolist() == [[0, 0, 3]]
    assert source.score(first, everything(1, items=3)).tolist() == [[0, 2, 0]]
    assert source.score(first + second, everything(2, items=3)).tolist() == [[0, 2, 0], [0, 0, 3]]


def test_candidates_and_their_scores_cost_one_product(monkeypatch: pytest.MonkeyPatch) -> None:
    source, questions = fit_markov(drawn(np.random.default_rng(3)), MarkovConfig()), [query([1, 2], allowed=15)]
    weighed, weigh = list[int](), source._weights

    def counted(queries: Sequence[Query]) -> sp.csr_matrix:
        weighed.append(len(queries))
        return weigh(queries)

    monkeypatch.setattr(source, "_weights", counted)
    source.score(questions, source.search(questions, k=5).rows)
    assert weighed == [1]


def test_what_was_rejected_counts_against_what_goes_with_it() -> None:
    data = drawn(np.random.default_rng(3))
    source = fit_markov(data, MarkovConfig(), repeats=True)
    rows = np.arange(data.items)[None]
    history = replace(History.undated(np.array([1, 2])), rejected=np.array([3, 10_000]))
    plain = Query(replace(history, rejected=NO_ROWS), np.ones(data.items, dtype=np.bool_))
    query = replace(plain, history=history)
    np.testing.assert_array_equal(source.score([query], rows), source.score([plain], rows))
    against = source.with_query_time(decay=0.6, against=0.5)
    expected = source.with_query_time(decay=0.6).score([plain], rows) - 0.5 * source.matrix[[3]].toarray()
    np.testing.assert_allclose(against.score([query], rows), expected, rtol=1e-5, atol=1e-7)
    only_rejected = replace(query, history=replace(History.undated(NO_ROWS), rejected=np.array([3])))
    assert np.isnan(against.score([only_rejected], rows)).all()
