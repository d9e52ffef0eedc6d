"""A stale index is replaced by one with the same results, with the changes made during the build."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.indexes import build as kinds
from recsys.indexes import staleness
from recsys.indexes.build import build, suited
from recsys.indexes.exact import ExactConfig
from recsys.indexes.funnel import FunnelConfig, FunnelIndex
from recsys.indexes.hnsw import HnswConfig, HnswIndex, build_hnsw
from recsys.indexes.index import Flags, Index, Vectors
from recsys.indexes.staleness import replay
from tests.indexes.reference import GRAPH, QUANTISED, clusters, over, recall, rows_of

ALL = np.ones(3000, dtype=np.bool_)


@pytest.fixture
def vectors() -> Vectors:
    return clusters(np.random.default_rng(0), 3000)


def exact(index: Index) -> Index:
    return build(ExactConfig(), index.vectors, known=index.known)


def is_stale(index: Index, active: Flags) -> bool:
    return staleness.is_stale(index, active, suits=suited(len(index.known)))


def rebuilt(index: Index, active: Flags) -> Index:
    return staleness.rebuild(index, active, suits=suited(len(index.known)))


def active_without(index: Index, gone: range) -> Flags:
    flags = np.ones(len(index.known), dtype=np.bool_)
    flags[gone] = False
    return flags


@pytest.mark.parametrize("least", [10, 1000])
def test_it_ages_by_what_stands_beside_and_by_what_is_dead_inside(
    vectors: Vectors, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    monkeypatch.setattr(staleness, "MIN_STALE_ROWS", least)
    graph = over(GRAPH, vectors)
    grown = graph.with_rows(np.arange(3000, 3200), clusters(np.random.default_rng(1), 200))
    assert not is_stale(graph, ALL)
    assert is_stale(grown, np.ones(3200, dtype=np.bool_)) == (least == 10)
    assert not is_stale(grown, ALL)  # rows that are not active need not be compared
    assert is_stale(graph, active_without(graph, range(200))) == (least == 10)
    assert not is_stale(graph, active_without(graph, range(20)))


@pytest.mark.slow
@pytest.mark.parametrize(("config", "floor"), [(HnswConfig(m=16, ef_search=64), 0.95), (QUANTISED, 0.5)])
def test_the_new_one_knows_the_same_and_is_young(config: kinds.IndexConfig, floor: float, vectors: Vectors) -> None:
    more = clusters(np.random.default_rng(1), 500)
    old = over(config, vectors).with_rows(np.arange(2800, 3300), more)
    active = active_without(old, range(100))
    fresh = rebuilt(old, active)
    np.testing.assert_array_equal(fresh.vectors, old.vectors)
    np.testing.assert_array_equal(fresh.known, old.known)
    assert not is_stale(fresh, active)
    queries = clusters(np.random.default_rng(2), 50)
    allowed = np.tile(active, (50, 1))
    result, best = (index.search(queries, k=10, allowed=allowed) for index in (fresh, exact(old)))
    assert recall(result, best) >= floor


def test_the_dead_are_out_of_the_graph_and_found_when_they_come_back(vectors: Vectors) -> None:
    fresh = rebuilt(over(GRAPH, vectors), active_without(over(GRAPH, vectors), range(1500)))
    assert isinstance(fresh, HnswIndex)
    assert fresh.nodes.tolist() == list(range(1500, 3000))
    back = np.arange(3000)[None] == 7
    assert fresh.search(vectors[:1], k=1, allowed=back).rows.tolist() == [[7]]


def test_what_was_written_while_it_was_built_counts(vectors: Vectors) -> None:
    before = over(GRAPH, vectors).with_rows(rows_of(5), vectors[:1])
    fresh = rebuilt(before, ALL)
    now = before.with_rows(rows_of(5, 3001), np.stack([vectors[1], vectors[2]])).without(rows_of(9))
    caught = replay(fresh, before=before, now=now)
    queries = vectors[:20]
    result, best = (index.search(queries, k=5) for index in (caught, exact(now)))
    assert recall(result, best) >= 0.95
    assert not caught.known[9]
    assert isinstance(caught, HnswIndex)
    assert np.flatnonzero(caught.changed).tolist() == [5, 3000, 3001]


@pytest.mark.slow
def test_an_exact_index_that_grew_becomes_a_graph(vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    small = build(ExactConfig(), vectors, known=ALL)
    assert not is_stale(small, ALL)
    monkeypatch.setattr(kinds, "EXACT_ROWS", 2000)
    assert is_stale(small, ALL)
    fresh = rebuilt(small, ALL)
    assert isinstance(fresh, HnswIndex)
    assert not is_stale(fresh, ALL)
    assert isinstance(replay(fresh, before=small, now=small.with_rows(rows_of(1), vectors[:1])), HnswIndex)


def test_an_exact_index_becomes_the_funnel_that_suits_it(vectors: Vectors) -> None:
    funnel, small = FunnelConfig(dims=8), build(ExactConfig(), vectors, known=ALL)
    assert staleness.is_stale(small, ALL, suits=funnel)
    fresh = staleness.rebuild(small, active_without(small, range(9)), suits=funnel)
    now = small.with_rows(rows_of(1, 3000), vectors[:2]).without(rows_of(7))
    caught = replay(fresh, before=small, now=now)
    assert isinstance(caught, FunnelIndex)
    np.testing.assert_array_equal(caught.vectors, now.vectors)
    np.testing.assert_array_equal(caught.known, now.known)
    assert not staleness.is_stale(caught, ALL, suits=funnel)


def test_one_that_holds_few_at_once_by_choice_stays_exact(vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "EXACT_ROWS", 2000)
    assert not is_stale(build(replace(ExactConfig(), at_once=1), vectors, known=ALL), ALL)
    assert not is_stale(build_hnsw(GRAPH, vectors, known=ALL), ALL)
