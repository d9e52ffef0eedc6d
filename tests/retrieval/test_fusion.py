"""The fusion: candidates of all, standardised, silence apart from zero; and its reasons."""

import numpy as np
import pytest
from numpy.typing import NDArray

from recsys.data.history import History
from recsys.retrieval.fusion import Fusion, FusionSource, gather, stack
from recsys.retrieval.source import Candidates, Query, Scores, top


class Table:
    """A source whose scores stand in a table; NaN is silence."""

    def __init__(self, *scores: float) -> None:
        self.scores = np.array(scores, dtype=np.float32)

    def search(self, queries: list[Query], *, k: int) -> Candidates:
        return top(np.stack([np.where(query.allowed, self.scores, -np.inf) for query in queries]), k=k)

    def score(self, queries: list[Query], rows: NDArray[np.int64]) -> Scores:  # noqa: ARG002
        return np.where(rows >= 0, self.scores[np.maximum(rows, 0)], np.nan)


NAN = float("nan")
QUERY = Query(History.undated(np.array([0])), np.ones(5, dtype=np.bool_))


def test_candidates_are_the_union_of_the_best_of_each() -> None:
    one, other = Table(5, 4, 3, 2, 1), Table(1, 2, 3, NAN, 9)
    assert gather([one, other], [QUERY], depth=2).tolist() == [[0, 1, 2, 4]]  # type: ignore[list-item]
    assert gather([one, Table(NAN, NAN, NAN, NAN, NAN)], [QUERY, QUERY], depth=1).tolist() == [[0], [0]]  # type: ignore[list-item]


def test_scores_are_standardised_over_those_that_speak() -> None:
    features = stack([np.array([[1.0, 2.0, 3.0, NAN]], dtype=np.float32), np.full((1, 4), NAN, dtype=np.float32)])
    spread = float(np.std([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(features[0, :, 0], np.array([-1, 0, 1, 0]) / spread, atol=1e-6)
    assert features[0, :, 1].tolist() == [0, 0, 0, 0]
    assert features[0, :, 2].tolist() == [0, 0, 0, 1]
    assert features[0, :, 3].tolist() == [1, 1, 1, 1]


def test_equal_scores_have_no_spread_and_count_nothing() -> None:
    assert not stack([np.full((1, 3), 7.0, dtype=np.float32)])[..., 0].any()


def test_silence_has_a_weight_of_its_own() -> None:
    speaks, silent = Table(1, 1, 0, 0, 0), Table(NAN, 1, 1, 1, 1)

    def first(weight: float) -> int:
        fusion = Fusion(("speaks", "silent"), np.array([1, 0, 0, weight, 0, 0], dtype=np.float32), 5, {})
        sources = {"speaks": speaks, "silent": silent}
        return int(FusionSource(fusion, sources).search([QUERY], k=1).rows[0, 0])  # type: ignore[arg-type]

    assert first(1.0) == 0
    assert first(-1.0) == 1


def test_the_source_that_lifted_most_is_named() -> None:
    fusion = Fusion(("one", "other"), np.array([1, 0.1, 0, 0, 0, 0], dtype=np.float32), 5, {})
    source = FusionSource(fusion, {"one": Table(9, 0, 0, 0, 0), "other": Table(NAN, 9, 0, 0, 0)})  # type: ignore[dict-item]
    found, reasons = source.explained([QUERY], k=2)
    why = dict(zip(found.rows[0].tolist(), reasons[0], strict=True))
    assert why[0] == ("one", ("one",))
    assert why[1][0] == "other"


def test_a_shorter_list_is_the_beginning_of_a_longer_one() -> None:
    generator = np.random.default_rng(0)
    tables = {name: Table(*generator.normal(size=5)) for name in ("a", "b", "c")}
    fusion = Fusion(("a", "b", "c"), generator.normal(size=9).astype(np.float32), 2, {})
    source = FusionSource(fusion, tables)  # type: ignore[arg-type]
    long = source.search([QUERY], k=5).rows[0]
    for k in range(1, 5):
        assert source.search([QUERY], k=k).rows[0].tolist() == long[:k].tolist()


def test_it_survives_being_stored() -> None:
    fusion = Fusion(("a",), np.array([1, 2, 3], dtype=np.float32), 7, {"left_out": {"b": -0.1}})
    again = Fusion.from_part(fusion.part("blend"))
    assert (again.sources, again.depth, again.about) == (("a",), 7, {"left_out": {"b": -0.1}})
    assert again.weights == pytest.approx(fusion.weights)
