"""IVF-PQ finds nearly what brute force finds, under filters and after changes too."""

from dataclasses import replace

import faiss
import numpy as np
import pytest

from recsys.errors import BundleError, InvalidRequest
from recsys.indexes.build import build, restore
from recsys.indexes.exact import ExactConfig
from recsys.indexes.index import Flags, Index, Vectors
from recsys.indexes.ivf_pq import IvfPqConfig, IvfPqIndex
from tests.indexes.reference import clusters, over, recall, rows_of

CONFIG = IvfPqConfig(nlist=40, pq_m=12, pq_bits=6, nprobe=12, refine_factor=10, min_rows=1000)


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return clusters(np.random.default_rng(0), 4000)


@pytest.fixture(scope="module")
def queries() -> Vectors:
    return clusters(np.random.default_rng(1), 100)


@pytest.fixture(scope="module")
def known() -> Flags:
    """Every tenth row has no vector, so that a place in the lists is not the row of the same number."""
    return np.arange(4000) % 10 > 0


@pytest.fixture(scope="module")
def lists(vectors: Vectors, known: Flags) -> Index:
    return build(CONFIG, vectors, known=known)


@pytest.fixture(scope="module")
def truth(vectors: Vectors, known: Flags) -> Index:
    return build(ExactConfig(), vectors, known=known)


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many lists each search looked into."""
    nearest, recorded = IvfPqIndex._nearest, list[int]()

    def noted(self: IvfPqIndex, query: Vectors, count: int, *, nprobe: int, bitmap: object) -> object:
        recorded.append(nprobe)
        return nearest(self, query, count, nprobe=nprobe, bitmap=bitmap)

    monkeypatch.setattr(IvfPqIndex, "_nearest", noted)
    return recorded


@pytest.mark.parametrize(("share", "by_lists"), [(1.0, True), (0.5, True), (0.01, False)])
def test_recall_holds_under_filters(
    lists: Index, truth: Index, queries: Vectors, probes: list[int], share: float, by_lists: bool
) -> None:
    allowed = np.random.default_rng(2).random((len(queries), 4000)) < share
    result, best = (index.search(queries, k=10, allowed=allowed) for index in (lists, truth))
    assert recall(result, best) >= (0.95 if by_lists else 1)
    assert bool(probes) == by_lists


def test_refining_is_what_makes_it_right(lists: Index, truth: Index, queries: Vectors) -> None:
    assert isinstance(lists, IvfPqIndex)
    lists_alone = IvfPqIndex(
        replace(CONFIG, refine_factor=1), lists.exact, lists=lists._lists, nodes=lists.nodes, changed=lists.changed
    )
    refined, rough = (recall(i.search(queries, k=10), truth.search(queries, k=10)) for i in (lists, lists_alone))
    assert rough < 0.8 < refined


def test_more_lists_are_looked_into_where_the_nearest_hold_too_few(
    vectors: Vectors, known: Flags, truth: Index, queries: Vectors, probes: list[int]
) -> None:
    lists, query = build(replace(CONFIG, nprobe=1, refine_factor=1), vectors, known=known), queries[:1]
    allowed = np.zeros((1, 4000), dtype=np.bool_)
    allowed[0, truth.search(query, k=3600).rows[0, -60:]] = True
    result, best = (index.search(query, k=10, allowed=allowed) for index in (lists, truth))
    assert probes == [1, 4, 16]
    assert recall(result, best) == 1


def test_recall_holds_after_many_changes(lists: Index, truth: Index, queries: Vectors) -> None:
    generator = np.random.default_rng(4)
    new_rows, gone = generator.permutation(5000)[:1000], generator.permutation(4000)[:1000]
    new = clusters(generator, 1000)
    changed, exact = (index.without(gone).with_rows(new_rows, new) for index in (lists, truth))
    for index in (changed, restore(changed.part("p"))):
        assert recall(index.search(queries, k=10), exact.search(queries, k=10)) >= 0.95


def test_a_change_does_not_touch_the_lists(lists: Index, queries: Vectors) -> None:
    assert isinstance(lists, IvfPqIndex)
    changed = lists.with_rows(rows_of(4000), 9 * queries[:1]).without(rows_of(1))
    assert changed._lists is lists._lists
    assert changed.search(queries[:1], k=1).rows.tolist() == [[4000]]


def test_few_rows_are_compared_without_lists(queries: Vectors, probes: list[int]) -> None:
    few = over(CONFIG, clusters(np.random.default_rng(3), 999))
    assert isinstance(few, IvfPqIndex)
    assert few._lists is None
    few.search(queries, k=10)
    assert not probes


def test_building_leaves_the_number_of_threads_alone(vectors: Vectors) -> None:
    before = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(3)
        over(replace(CONFIG, min_rows=10), vectors[:500])
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)


def test_lists_of_other_vectors_are_refused(lists: Index, vectors: Vectors) -> None:
    part = lists.part("p")
    with pytest.raises(BundleError, match=r"lists of 3600 x 24 do not fit vectors of \(4000, 8\); build it again"):
        restore(replace(part, arrays=part.arrays | {"vectors": vectors[:, :8]}))
    with pytest.raises(BundleError, match="index 'p' holds no lists that FAISS can read"):
        restore(replace(part, arrays=part.arrays | {"lists": part.arrays["lists"][:-9]}))


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="nprobe=0: at least 1"):
        IvfPqConfig(nprobe=0)
    with pytest.raises(InvalidRequest, match="pq_bits=9: a code has 4 to 8"):
        IvfPqConfig(pq_bits=9)
