"""Every truncation is the exact search among truncated vectors; spaces never mix; a new item is known at each."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.encoders.catalogue import CatalogueTextEncoder, truncate
from recsys.encoders.normalize import l2_normalize
from recsys.errors import BundleError
from recsys.indexes import build as kinds
from recsys.indexes.build import IndexConfig, Kind
from recsys.indexes.exact import ExactConfig, ExactIndex
from recsys.indexes.funnel import FunnelConfig, FunnelIndex
from recsys.indexes.hnsw import HnswConfig
from recsys.indexes.index import Index, SearchResult
from recsys.indexes.ivf_pq import IvfPqConfig
from recsys.retrieval.item_text import ItemTextSource, over_items, suited_index
from recsys.retrieval.source import Query
from recsys.retrieval.truncation import Truncation, truncations_of
from tests.encoders.test_catalogue import random_part
from tests.indexes.reference import clusters, recall
from tests.retrieval.worlds import query

PART = random_part()
SIZES = truncations_of(PART).served
WORDS = ("claw", "hammer", "wool", "socks", "guitar", "strings", "acoustic", "title", "brand", "acme")


@pytest.fixture(scope="module")
def exits() -> dict[int, np.ndarray]:
    draw = np.random.default_rng(0).choice(WORDS, (40, 4))
    return dict(CatalogueTextEncoder.from_part(PART).encode_exits([" ".join(words) for words in draw]))


@pytest.fixture
def source(exits: dict[int, np.ndarray]) -> ItemTextSource:
    known = np.arange(40) != 7
    return over_items(PART, exits, known=known)


def naive(vectors: np.ndarray, history: list[int], *, k: int) -> list[int]:
    """The nearest rows to the mean of the history's last 20, each older one at .7 of the next, in float64."""
    exact = vectors.astype(np.float64)
    mean = sum(0.7**age * exact[row] for age, row in enumerate(reversed(history[-20:])))
    scores = exact @ (mean / np.linalg.norm(mean))
    scores[7] = -np.inf
    return np.argsort(-scores, kind="stable")[:k].tolist()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_size_is_the_search_among_vectors_cut_for_it(
    source: ItemTextSource,
    exits: dict[int, np.ndarray],
    size: Truncation,
) -> None:
    candidates = source.at(size).search([query([3, 9, 3, 20], allowed=40)], k=5)
    assert candidates.rows[0].tolist() == naive(truncate(exits[size.layers], size.dims), [3, 9, 3, 20], k=5)
    assert source.at(size) is source.at(size)


def test_without_a_size_the_whole_encoder_answers(source: ItemTextSource) -> None:
    questions = [query([3], allowed=40)]
    whole = source.at(Truncation(3, 16))
    np.testing.assert_array_equal(source.search(questions, k=4).rows, whole.search(questions, k=4).rows)
    rows = np.array([[0, 7, -1]])
    np.testing.assert_array_equal(source.score(questions, rows), whole.score(questions, rows))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_text_is_asked_in_the_space_in_which_it_is_answered(
    source: ItemTextSource, size: Truncation, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, one = CatalogueTextEncoder.from_part(PART), source.at(size)
    vector = one.query_vectors(encoder, ["guitar strings"], [None])[0]
    text = truncate(encoder.encode_queries(["guitar strings"], layers=size.layers), size.dims)
    np.testing.assert_array_equal(vector, text[0])
    candidates = one.search([replace(query([], allowed=40), vector=vector)], k=40)
    np.testing.assert_allclose(candidates.scores[0, :39], (one.vectors @ vector)[candidates.rows[0, :39]], atol=1e-6)
    assert candidates.rows[0, 39] == -1
    for other in SIZES:
        if other != size:
            with pytest.raises(BundleError, match="vectors of different spaces never mix"):
                one.space.must_be(source.at(other).space, what="the question")
    monkeypatch.setattr(encoder, "hash", "f" * 64)
    with pytest.raises(BundleError, match="the question is of encoder ffffffffffff"):
        one.query_vectors(encoder, ["guitar strings"], [None])


def test_a_new_item_is_known_at_every_size_and_the_old_source_stays(
    source: ItemTextSource,
    exits: dict[int, np.ndarray],
) -> None:
    questions = [Query(query([5], allowed=60).history, np.ones(60, dtype=np.bool_))]
    before = {size: source.at(size).search(questions, k=60).rows.tolist() for size in SIZES}
    grown = source.with_exits(np.array([50, 7]), {layers: vectors[[5, 5]] for layers, vectors in exits.items()})
    for size in SIZES:
        assert grown.at(size).search(questions, k=3).rows[0].tolist() == [5, 7, 50]
        assert source.at(size).search(questions, k=60).rows.tolist() == before[size]
    assert source.with_exits(np.array([50]), {n: v[[5]] for n, v in exits.items()}).at(SIZES[0]).known[50]


def test_an_item_that_lost_its_text_is_known_at_no_size(source: ItemTextSource) -> None:
    silent = source.without_texts(np.array([8]))
    for size in SIZES:
        assert 8 not in silent.at(size).search([query([5], allowed=40)], k=40).rows
        assert source.at(size).known[8]
    assert (silent.search([query([8], allowed=40)], k=3).rows == -1).all()


@pytest.mark.parametrize(
    ("kind", "narrow", "whole"),
    [
        ("auto", ExactConfig(), ExactConfig()),
        ("exact", ExactConfig(), ExactConfig()),
        ("funnel", ExactConfig(), FunnelConfig(dims=8)),
        ("hnsw", HnswConfig(), HnswConfig()),
        ("ivf-pq", IvfPqConfig(), IvfPqConfig()),
    ],
)
def test_the_index_is_of_the_kind_asked_for_at_every_size_and_stays_it(
    exits: dict[int, np.ndarray], kind: Kind, narrow: IndexConfig, whole: IndexConfig
) -> None:
    part = replace(PART, config=PART.config | {"offered": [[3, 8], [3, 16]]})
    source = over_items(part, {3: exits[3]}, known=np.ones(40, dtype=np.bool_), kind=kind)
    grown = source.with_exits(np.array([40]), {3: exits[3][[5]]})
    for one in (source, grown):
        assert (one.at(Truncation(3, 8)).index.config, one.at(Truncation(3, 16)).index.config) == (narrow, whole)  # type: ignore[attr-defined]
    questions = [query([5], allowed=41)]
    for size in (Truncation(3, 8), Truncation(3, 16)):
        assert grown.at(size).search(questions, k=3).rows[0, 0] in (5, 40)


@pytest.mark.slow
def test_many_rows_in_lists_of_codes_are_found_as_by_comparing_all() -> None:
    rows = 12_000
    exits = {3: l2_normalize(clusters(np.random.default_rng(0), rows, dim=16, centres=300))}
    part = replace(PART, config=PART.config | {"offered": [[3, 16]]})
    known = np.ones(rows, dtype=np.bool_)
    codes, exact = (over_items(part, exits, known=known, kind=kind) for kind in ("ivf-pq", "exact"))
    questions = [query([row], allowed=rows) for row in range(0, rows, 400)]
    assert codes.at(Truncation(3, 16)).index.part("i").arrays["lists"].size  # they are searched, not all rows
    candidates, truth = (
        SearchResult(one.rows, one.scores) for one in (source.search(questions, k=10) for source in (codes, exact))
    )
    assert recall(candidates, truth) >= 0.95


def test_large_catalogues_go_through_the_funnel_where_a_narrower_size_is_served(
    monkeypatch: pytest.MonkeyPatch,
    exits: dict[int, np.ndarray],
) -> None:
    part = replace(PART, config=PART.config | {"offered": [[1, 8], [3, 4], [3, 8], [3, 16]]})
    truncations = truncations_of(part)
    assert suited_index(Truncation(3, 16), truncations, 10**6) == FunnelConfig(dims=8)
    assert (
        suited_index(Truncation(3, 4), truncations, 10**6) == ExactConfig()
    )  # the narrowest is quick, and never waits for a graph
    assert suited_index(Truncation(1, 8), truncations, 10**6) == HnswConfig()  # alone at its exit
    assert suited_index(Truncation(1, 8), truncations, 10**6, kind="funnel") == ExactConfig()
    monkeypatch.setattr(kinds, "EXACT_ROWS", 30)
    source = over_items(part, {1: exits[1], 3: exits[3]}, known=np.ones(40, dtype=np.bool_))
    assert isinstance(source.at(Truncation(3, 16)).index, FunnelIndex)
    assert isinstance(source.at(Truncation(3, 8)).index, FunnelIndex)
    assert isinstance(source.at(Truncation(3, 4)).index, ExactIndex)


def test_indexes_of_all_sizes_are_built_before_the_first_question(
    monkeypatch: pytest.MonkeyPatch, exits: dict[int, np.ndarray]
) -> None:
    built, build = list[IndexConfig](), kinds.build

    def noted(config: IndexConfig, vectors: np.ndarray, *, known: np.ndarray) -> Index:
        built.append(config)
        return build(config, vectors, known=known)

    monkeypatch.setattr("recsys.indexes.cache.build", noted)
    source = over_items(PART, exits, known=np.ones(40, dtype=np.bool_), kind="hnsw")
    assert len(built) == len(SIZES)
    for size in SIZES:
        source.at(size).search([query([3], allowed=40)], k=2)
    assert len(built) == len(SIZES)


def test_a_history_asked_again_is_read_by_the_changed_texts(
    source: ItemTextSource, exits: dict[int, np.ndarray]
) -> None:
    questions = [query([5], allowed=40)]
    source.search(questions, k=1)
    changed = source.with_exits(np.array([5]), {layers: vectors[[20]] for layers, vectors in exits.items()})
    candidates = changed.search(questions, k=40)
    np.testing.assert_allclose(candidates.scores[0][candidates.rows[0] == 20], 1, atol=1e-5)
