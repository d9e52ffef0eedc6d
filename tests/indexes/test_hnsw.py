"""The graph finds what brute force finds, nearly always, and is asked only where that pays."""

from dataclasses import replace

import faiss
import numpy as np
import pytest

from recsys.errors import BundleError, InvalidRequest
from recsys.indexes.build import build, restore
from recsys.indexes.exact import ExactConfig
from recsys.indexes.hnsw import HnswConfig, HnswIndex
from recsys.indexes.index import Flags, Index, Vectors
from tests.indexes.reference import GRAPH, clusters, over, recall, rows_of

CONFIG = HnswConfig(m=16, ef_search=64)


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return clusters(np.random.default_rng(0), 4000)


@pytest.fixture(scope="module")
def queries() -> Vectors:
    return clusters(np.random.default_rng(1), 100)


@pytest.fixture(scope="module")
def known() -> Flags:
    """Every tenth row has no vector, so that a node of the graph is not the row of the same number."""
    return np.arange(4000) % 10 > 0


@pytest.fixture(scope="module")
def graph(vectors: Vectors, known: Flags) -> Index:
    return build(CONFIG, vectors, known=known)


@pytest.fixture(scope="module")
def truth(vectors: Vectors, known: Flags) -> Index:
    return build(ExactConfig(), vectors, known=known)


@pytest.fixture
def efs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The `ef` of each search of the graph."""
    nearest, recorded = HnswIndex._nearest, list[int]()

    def noted(self: HnswIndex, queries: Vectors, ef: int) -> object:
        recorded.extend([ef] * len(queries))
        return nearest(self, queries, ef)

    monkeypatch.setattr(HnswIndex, "_nearest", noted)
    return recorded


@pytest.mark.parametrize(("share", "by_graph"), [(1.0, True), (0.7, True), (0.1, False), (0.01, False)])
def test_recall_holds_under_filters(
    graph: Index, truth: Index, queries: Vectors, efs: list[int], share: float, by_graph: bool
) -> None:
    allowed = np.random.default_rng(2).random((len(queries), 4000)) < share
    result, best = (index.search(queries, k=10, allowed=allowed) for index in (graph, truth))
    assert recall(result, best) >= (0.95 if by_graph else 1)
    assert len(efs) == (len(queries) if by_graph else 0)


@pytest.mark.slow
def test_recall_holds_where_the_nearest_rows_are_the_excluded_ones(
    vectors: Vectors, known: Flags, truth: Index, queries: Vectors, efs: list[int]
) -> None:
    graph = build(HnswConfig(m=10, ef_search=12), vectors, known=known)
    allowed = np.ones((len(queries), 4000), dtype=np.bool_)
    np.put_along_axis(allowed, truth.search(queries, k=40).rows, values=False, axis=1)
    result, best = (index.search(queries, k=10, allowed=allowed) for index in (graph, truth))
    assert recall(result, best) >= 0.9
    assert set(efs) == {44, 176}


def test_recall_holds_where_the_nearest_rows_moved_away(
    graph: Index, truth: Index, vectors: Vectors, queries: Vectors
) -> None:
    for i in range(10):
        query = queries[i : i + 1]
        nearest = truth.search(query, k=30).rows[0]
        result, best = (index.with_rows(nearest, -vectors[nearest]).search(query, k=10) for index in (graph, truth))
        assert recall(result, best) >= 0.9


@pytest.mark.slow
def test_recall_holds_among_vectors_that_are_no_numbers(vectors: Vectors, queries: Vectors) -> None:
    broken = vectors.copy()
    broken[::4] = np.nan
    result, best = (over(config, broken).search(queries, k=10) for config in (CONFIG, ExactConfig()))
    assert recall(result, best) >= 0.95


@pytest.mark.slow
def test_recall_holds_for_vectors_of_very_different_length(queries: Vectors, vectors: Vectors) -> None:
    lengths = np.random.default_rng(3).lognormal(0, 1, (4000, 1)).astype(np.float32)
    result, best = (over(config, vectors * lengths).search(queries, k=10) for config in (CONFIG, ExactConfig()))
    assert recall(result, best) >= 0.95


def test_recall_holds_after_many_changes(graph: Index, truth: Index, queries: Vectors) -> None:
    generator = np.random.default_rng(4)
    new_rows, gone = generator.permutation(5000)[:1000], generator.permutation(4000)[:1000]
    new = clusters(generator, 1000)
    changed, exact = (index.without(gone).with_rows(new_rows, new) for index in (graph, truth))
    again = restore(changed.part("p"))
    for index in (changed, again):
        assert recall(index.search(queries, k=10), exact.search(queries, k=10)) >= 0.95


def test_a_new_row_is_found_beside_the_graph(graph: Index, queries: Vectors, efs: list[int]) -> None:
    bigger = graph.with_rows(rows_of(4000, 17), np.stack([9 * queries[0], 9 * queries[1]]))
    assert bigger.search(queries[:2], k=1).rows.tolist() == [[4000], [17]]
    assert efs == [CONFIG.ef_search] * 2


def test_a_change_does_not_touch_the_graph(graph: Index) -> None:
    assert isinstance(graph, HnswIndex)
    changed = graph.with_rows(rows_of(0, 9000), np.ones((2, 24), dtype=np.float32)).without(rows_of(1))
    assert changed.graph is graph.graph


def test_many_wanted_rows_are_compared_exactly(graph: Index, truth: Index, queries: Vectors, efs: list[int]) -> None:
    result, best = (index.search(queries, k=1000) for index in (graph, truth))
    assert recall(result, best) == 1
    assert not efs


def test_equal_vectors_do_not_starve_a_search() -> None:
    """They link among themselves alone, so that a graph search may end early."""
    same = np.repeat(np.array([[1, 0], [0, 1]], dtype=np.float32), [1000, 1000], axis=0)
    allowed = np.arange(2000) >= 1000
    result = over(GRAPH, same).search(np.array([[1, 0]], dtype=np.float32), k=30, allowed=allowed[None])
    assert (result.rows >= 1000).all()


def test_building_leaves_the_number_of_threads_alone(vectors: Vectors) -> None:
    before = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(3)
        over(GRAPH, vectors[:50])
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)


def test_the_settings_come_back_with_the_graph(graph: Index) -> None:
    again = restore(replace(graph.part("p"), config={}))
    assert isinstance(again, HnswIndex)
    assert again.config == CONFIG


def test_a_graph_of_other_vectors_is_refused(graph: Index, vectors: Vectors) -> None:
    part = graph.part("p")
    with pytest.raises(BundleError, match="a graph of 3600 x 24 does not fit 3600 vectors of 8; build it again"):
        restore(replace(part, arrays=part.arrays | {"vectors": vectors[:, :8]}))


@pytest.mark.slow
def test_a_graph_without_its_vectors_is_built_anew(graph: HnswIndex, queries: Vectors) -> None:
    """As earlier versions stored it."""
    part = graph.part("p")
    bare = faiss.serialize_index(graph.graph, faiss.IO_FLAG_SKIP_STORAGE)
    again = restore(replace(part, arrays=part.arrays | {"graph": bare}))
    assert isinstance(again, HnswIndex)
    assert again.config == CONFIG
    for ours, theirs in zip(again.search(queries, k=10), graph.search(queries, k=10), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_another_kind_of_faiss_index_is_refused(graph: HnswIndex, vectors: Vectors) -> None:
    part, flat = graph.part("p"), faiss.IndexFlatIP(24)
    flat.add(vectors[:3600])
    with pytest.raises(BundleError, match="does not fit 3600 vectors of 24; build it again"):
        restore(replace(part, arrays=part.arrays | {"graph": faiss.serialize_index(flat)}))


@pytest.mark.slow
@pytest.mark.parametrize(("spread", "recalled"), [(0.0, 0.99), (0.5, 0.99), (1.0, 0.99), (2.0, 0.97)])
def test_recall_holds_however_much_lengths_differ(spread: float, recalled: float) -> None:
    """The long ones win, and are what rounding to a byte cuts."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(12_000, 32)) * generator.lognormal(0, spread, (12_000, 1))
    index = over(replace(GRAPH, m=32, ef_construction=200, ef_search=150), vectors.astype(np.float32))
    truth, queries = over(ExactConfig(), vectors.astype(np.float32)), generator.normal(size=(50, 32)).astype(np.float32)
    assert recall(index.search(queries, k=10), truth.search(queries, k=10)) >= recalled


@pytest.mark.parametrize(("spread", "size", "width"), [(0, 1, 1), (0, 1e-6, 1), (1, 1, 2), (1, 1e-7, 4), (0.5, 1e5, 4)])
def test_a_graph_rounds_as_finely_as_its_vectors_need(spread: float, size: float, width: int) -> None:
    generator = np.random.default_rng(0)
    vectors = size * generator.normal(size=(2000, 16)) * generator.lognormal(0, spread, (2000, 1))
    vectors[:200] = 0  # of no direction, and so nothing to lose
    index = over(GRAPH, vectors.astype(np.float32))
    assert isinstance(index, HnswIndex)
    storage = faiss.downcast_index(index.graph.storage)
    assert storage.sa_code_size() == 16 * width


def test_bytes_that_are_no_graph_are_refused(graph: Index) -> None:
    part = graph.part("p")
    with pytest.raises(BundleError, match="index 'p' holds no graph that FAISS can read"):
        restore(replace(part, arrays=part.arrays | {"graph": part.arrays["graph"][:-9]}))


@pytest.mark.parametrize("name", ["m", "ef_construction", "ef_search"])
def test_settings_below_two_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{name}=1: a graph needs at least 2"):
        HnswConfig(**{name: 1})
