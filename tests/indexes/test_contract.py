"""What holds for every kind of index."""

import itertools
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.indexes.build import IndexConfig, build, restore
from recsys.indexes.index import Index, SearchResult, Vectors, nth_largest
from tests.indexes.reference import APPROXIMATE, CONFIGS, brute_force, clusters, over, rows_of, whole

Change = tuple[str, list[int]]

changes = st.lists(st.tuples(st.sampled_from(["put", "delete"]), st.lists(st.integers(0, 39), max_size=6)), max_size=5)


def changed(
    index: Index, stored: dict[int, Vectors], steps: list[Change], generator: np.random.Generator
) -> tuple[Index, dict[int, Vectors]]:
    """The index after `steps`, and what it should hold now."""
    stored = dict(stored)
    for what, numbers in steps:
        rows = rows_of(*numbers)
        if what == "put":
            new = whole(generator, len(rows))
            index = index.with_rows(rows, new)
            stored |= dict(zip(numbers, new, strict=True))
        else:
            index = index.without(rows)
            stored = {row: vector for row, vector in stored.items() if row not in numbers}
    return index, stored


def assert_same(a: SearchResult, b: SearchResult) -> None:
    np.testing.assert_array_equal(a.rows, b.rows)
    np.testing.assert_array_equal(a.scores, b.scores)


@pytest.fixture
def _restless() -> Iterator[None]:
    """Threads take turns as often as the interpreter lets them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@given(size=st.integers(1, 3000), n=st.integers(1, 40), values=st.sampled_from([2, 50, 10**6]), seed=st.integers(0, 99))
def test_the_nth_largest_is_that_of_the_sorted_scores(size: int, n: int, values: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, values, size).astype(np.float32)
    scores[generator.random(size) < 0.3] = -np.inf
    n = min(n, size)
    assert nth_largest(scores, n) == np.sort(scores)[::-1][n - 1]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
class TestEveryIndex:
    @given(
        size=st.integers(0, 30), count=st.integers(0, 4), k=st.integers(1, 50), steps=changes, seed=st.integers(0, 99)
    )
    def test_it_equals_brute_force_after_any_changes(
        self, config: IndexConfig, size: int, count: int, k: int, steps: list[Change], seed: int
    ) -> None:
        generator = np.random.default_rng(seed)
        vectors, known = whole(generator, size), generator.random(size) < 0.8
        stored = {row: vectors[row] for row in np.flatnonzero(known).tolist()}
        index, stored = changed(build(config, vectors, known=known), stored, steps, generator)
        queries, allowed = whole(generator, count), generator.random((count, len(index.known))) < 0.5
        assert_same(index.search(queries, k=k, allowed=allowed), brute_force(stored, queries, allowed, k=k))
        assert_same(index.search(queries, k=k), brute_force(stored, queries, np.ones_like(allowed), k=k))

    @given(size=st.integers(1, 30), steps=changes, seed=st.integers(0, 99))
    def test_changes_leave_the_older_snapshot_as_it_was(
        self, config: IndexConfig, size: int, steps: list[Change], seed: int
    ) -> None:
        generator = np.random.default_rng(seed)
        index, queries = over(config, whole(generator, size)), whole(generator, 3)
        before = index.search(queries, k=5)
        changed(index, {}, steps, generator)
        assert_same(index.search(queries, k=5), before)

    @given(size=st.integers(0, 30), steps=changes, seed=st.integers(0, 99))
    def test_a_stored_part_reads_back(self, config: IndexConfig, size: int, steps: list[Change], seed: int) -> None:
        generator = np.random.default_rng(seed)
        index, _ = changed(over(config, whole(generator, size)), {}, steps, generator)
        queries = whole(generator, 3)
        again = restore(index.part("p"))
        assert_same(again.search(queries, k=5), index.search(queries, k=5))
        assert again.part("p").hash == index.part("p").hash

    def test_the_same_vectors_give_the_same_index(self, config: IndexConfig) -> None:
        vectors = clusters(np.random.default_rng(0), 500)
        assert over(config, vectors).part("a").hash == over(config, vectors.copy()).part("b").hash

    def test_a_put_row_counts_once_and_by_its_last_vector(self, config: IndexConfig) -> None:
        index = over(config, np.eye(3, dtype=np.float32))
        vectors = np.array([[5, 0, 0], [7, 0, 0]], dtype=np.float32)
        result = index.with_rows(rows_of(1, 1), vectors).search(np.array([[1, 0, 0]], dtype=np.float32), k=9)
        assert result.rows[0, :4].tolist() == [1, 0, 2, -1]
        assert result.scores[0, :2].tolist() == [7, 1]

    def test_a_deleted_row_can_be_put_again(self, config: IndexConfig) -> None:
        index = over(config, np.eye(3, dtype=np.float32))
        back = index.without(rows_of(0, 77, -1)).with_rows(rows_of(0), np.array([[9, 9, 9]], dtype=np.float32))
        assert back.search(np.ones((1, 3), dtype=np.float32), k=3).rows.tolist() == [[0, 1, 2]]

    def test_a_row_below_zero_is_no_place(self, config: IndexConfig) -> None:
        with pytest.raises(AssertionError, match="row -1 is no place in a catalogue"):
            over(config, np.eye(3, dtype=np.float32)).with_rows(rows_of(-1), np.ones((1, 3), dtype=np.float32))

    @pytest.mark.parametrize("bad", [np.nan, -np.inf])
    def test_a_score_that_is_no_number_is_never_returned(self, config: IndexConfig, bad: float) -> None:
        vectors = clusters(np.random.default_rng(0), 400)
        vectors[7] = bad
        queries = np.abs(clusters(np.random.default_rng(1), 2))
        result = over(config, vectors).search(queries, k=400)
        assert 7 not in result.rows
        assert (result.rows >= 0).sum(axis=1).tolist() == [399, 399]
        assert (over(config, vectors).search(np.full_like(queries, np.nan), k=3).rows == -1).all()

    def test_vectors_cannot_be_written_through_a_snapshot(self, config: IndexConfig) -> None:
        index = over(config, np.eye(3, dtype=np.float32))
        with pytest.raises(ValueError, match="read-only"):
            index.vectors[0] = 1
        with pytest.raises(ValueError, match="read-only"):
            index.known[0] = False

    @pytest.mark.usefixtures("_restless")
    def test_searches_beside_writes_see_whole_snapshots(self, config: IndexConfig) -> None:
        generator = np.random.default_rng(0)
        queries, new = clusters(generator, 4), clusters(generator, 30)
        snapshots, writing = [over(config, clusters(generator, 600))], True

        def search() -> list[tuple[int, SearchResult]]:
            seen = []
            while writing:
                last = len(snapshots) - 1
                seen.append((last, snapshots[last].search(queries, k=10)))
                searched[last].set()
            return seen

        searched = [threading.Event() for _ in range(31)]
        with ThreadPoolExecutor(3) as pool:
            answers = [pool.submit(search) for _ in range(3)]
            for i in range(30):
                snapshots.append(snapshots[-1].with_rows(rows_of(i, 600 + i), new[[i, i]]).without(rows_of(300 + i)))
                searched[i + 1].wait(1)
            writing = False
        for last, result in itertools.chain(*(answer.result() for answer in answers)):
            assert_same(snapshots[last].search(queries, k=10), result)
        assert sum(event.is_set() for event in searched) > 10
        assert snapshots[-1].known.sum() == 600


@pytest.mark.parametrize("config", APPROXIMATE, ids=str)
class TestEveryApproximateIndex:
    """What holds for its answers however many of the best it misses."""

    @settings(deadline=None)  # it builds a graph
    @given(k=st.integers(1, 40), share=st.floats(0, 1), seed=st.integers(0, 20))
    def test_rows_are_allowed_as_many_as_exist_and_scored_exactly(
        self, config: IndexConfig, k: int, share: float, seed: int
    ) -> None:
        generator = np.random.default_rng(seed)
        vectors, queries = clusters(generator, 400), clusters(generator, 3)
        allowed = generator.random((3, 400)) < share
        result = over(config, vectors).search(queries, k=k, allowed=allowed)
        for i in range(3):
            rows = result.rows[i][result.rows[i] >= 0]
            assert len(np.unique(rows)) == len(rows) == min(k, allowed[i].sum())
            assert allowed[i, rows].all()
            np.testing.assert_allclose(result.scores[i, : len(rows)], vectors[rows] @ queries[i], rtol=1e-5, atol=1e-5)
            assert (np.diff(result.scores[i, : len(rows)]) <= 0).all()
