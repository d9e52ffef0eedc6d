"""A short prefix proposes, the whole vector decides: exact where the shortlist is all, nearly so where vectors are nested."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.encoders.normalize import l2_normalize
from recsys.errors import BundleError, InvalidRequest
from recsys.indexes.build import build, restore
from recsys.indexes.exact import ExactConfig
from recsys.indexes.funnel import FunnelConfig, FunnelIndex
from recsys.indexes.index import SearchResult, Vectors
from tests.indexes.reference import over, recall, rows_of, whole


def nested(generator: np.random.Generator, rows: int, *, dim: int = 32) -> Vectors:
    """Unit vectors whose first numbers say most."""
    return l2_normalize(generator.standard_normal((rows, dim)) * 0.8 ** np.arange(dim))


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return nested(np.random.default_rng(0), 3000)


@pytest.fixture(scope="module")
def queries() -> Vectors:
    return nested(np.random.default_rng(1), 60)


def naive(config: FunnelConfig, vectors: Vectors, queries: Vectors, *, k: int) -> SearchResult:
    """The two stages of the paper in float64, one query at a time."""
    rows, scores = [], []
    short = l2_normalize(vectors[:, : config.dims]).astype(np.float64)
    for query in queries.astype(np.float64):
        first = np.argsort(-(short @ query[: config.dims]), kind="stable")[: max(config.shortlist, config.factor * k)]
        exact = vectors.astype(np.float64) @ query
        best = sorted(first.tolist(), key=lambda row: -exact[row])[:k]
        rows.append(best)
        scores.append(exact[best])
    return SearchResult(np.array(rows), np.array(scores, dtype=np.float32))


@pytest.mark.parametrize(("dims", "shortlist", "factor"), [(4, 10, 1), (8, 40, 3), (32, 10, 1)])
def test_it_is_the_two_stages_of_the_paper(
    vectors: Vectors, queries: Vectors, dims: int, shortlist: int, factor: int
) -> None:
    config = FunnelConfig(dims=dims, shortlist=shortlist, factor=factor)
    result, expected = over(config, vectors).search(queries, k=7), naive(config, vectors, queries, k=7)
    np.testing.assert_array_equal(result.rows, expected.rows)
    np.testing.assert_allclose(result.scores, expected.scores, atol=1e-6)


def test_a_shortlist_of_all_rows_is_the_exact_search_ties_included() -> None:
    generator = np.random.default_rng(2)
    full_of_ties, queries = whole(generator, 300, dim=6), whole(generator, 40, dim=6)
    allowed = generator.random((40, 300)) < 0.7
    funnel = over(FunnelConfig(dims=1, shortlist=300), full_of_ties)
    for flags in (None, allowed):
        result, exact = (i.search(queries, k=9, allowed=flags) for i in (funnel, over(ExactConfig(), full_of_ties)))
        np.testing.assert_array_equal(result.rows, exact.rows)
        np.testing.assert_array_equal(result.scores, exact.scores)


def test_recall_grows_with_the_shortlist(vectors: Vectors, queries: Vectors) -> None:
    truth = over(ExactConfig(), vectors).search(queries, k=10)
    recalls = [
        recall(over(FunnelConfig(dims=4, shortlist=size, factor=1), vectors).search(queries, k=10), truth)
        for size in (10, 40, 160, 640, 3000)
    ]
    assert recalls == sorted(recalls)
    assert recalls[0] < 0.8
    assert recalls[-1] == 1


def test_recall_holds_under_a_filter(vectors: Vectors, queries: Vectors) -> None:
    allowed = np.random.default_rng(3).random((60, 3000)) < 0.2
    result, exact = (
        over(config, vectors).search(queries, k=10, allowed=allowed)
        for config in (FunnelConfig(dims=12, shortlist=100, factor=1), ExactConfig())
    )
    assert recall(result, exact) > 0.97
    assert all(flags[rows].all() for flags, rows in zip(allowed, result.rows, strict=True))


def test_a_prefix_that_is_not_normalised_anew_ranks_otherwise() -> None:
    """Here the nearest row says little in its first numbers, and a far one much."""
    rows = l2_normalize(np.array([[0.30, 0.02, 0.95], [0.9, 0.42, 0.0], [-0.5, 0.1, 0.8]]))
    query = l2_normalize(np.array([[0.31, 0.01, 0.95]]))
    funnel = build(FunnelConfig(dims=2, shortlist=1, factor=1), rows, known=np.ones(3, dtype=np.bool_))
    assert funnel.search(query, k=1).rows.tolist() == [[0]]
    assert (rows[:, :2] @ query[0, :2]).argmax() == 1


def test_prefixes_lie_in_one_piece_and_follow_every_change(vectors: Vectors, queries: Vectors) -> None:
    funnel = over(FunnelConfig(dims=8, shortlist=20), vectors)
    changed = funnel.with_rows(rows_of(5, 3200), queries[:2]).without(rows_of(9))
    assert isinstance(changed, FunnelIndex)
    assert changed._prefixes.flags["C_CONTIGUOUS"]
    assert changed._prefixes.shape == (3201, 8)
    assert changed.search(queries[:2], k=1).rows.tolist() == [[5], [3200]]
    again = restore(changed.part("p"))
    assert isinstance(again, FunnelIndex)
    known = changed.known
    np.testing.assert_array_equal(again._prefixes[known], changed._prefixes[known])


def test_what_a_vector_does_not_have_is_refused(vectors: Vectors) -> None:
    with pytest.raises(InvalidRequest, match="dims=33: these vectors have 1 to 32"):
        over(FunnelConfig(dims=33), vectors)
    with pytest.raises(InvalidRequest, match="shortlist=0: a funnel needs at least 1"):
        FunnelConfig(shortlist=0)
    part = over(FunnelConfig(dims=8), vectors).part("p")
    with pytest.raises(BundleError, match=r"index 'p' does not fit its settings .dims=40"):
        restore(replace(part, config=part.config | {"dims": 40}))
