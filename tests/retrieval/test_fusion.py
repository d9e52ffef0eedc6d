"""A fusion blends what its sources say, knows silence from a zero, and says who was right."""

from collections.abc import Sequence
from math import isnan, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.errors import BundleError
from recsys.retrieval.fusion import Fusion, FusionSource, gather, stack
from recsys.retrieval.source import Candidates, Explanation, Query, Rows, Scores, top
from tests.retrieval.worlds import everything, query

SCORES = st.one_of(st.floats(-5, 5, width=32), st.just(nan))


class Fixed:
    """Says the same of every row, whatever the history; NaN is no opinion."""

    def __init__(self, *scores: float) -> None:
        self.scores = np.array(scores, dtype=np.float32)

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        return top(np.stack([np.where(q.allowed, self.scores[: len(q.allowed)], np.nan) for q in queries]), k=k)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        assert len(queries) == len(rows)
        return np.where(rows >= 0, self.scores[np.maximum(rows, 0)], np.nan).astype(np.float32)

    def explain(self, query: Query, rows: Rows) -> list[Explanation]:  # noqa: ARG002
        return [() for _ in rows]


def fusion(sources: dict[str, Fixed], *weights: float, depth: int = 100) -> FusionSource:
    """Weights of scores and of silences; those of scores while others are silent are 0 unless given."""
    all_weights = np.zeros(3 * len(sources), dtype=np.float32)
    all_weights[: len(weights)] = weights
    return FusionSource(Fusion(tuple(sources), all_weights, depth, {}), sources)


def naive_features(scores: list[list[float]]) -> NDArray[np.float64]:
    """(candidates, 3 * sources) of one query, from scores[source][candidate]."""
    columns = []
    for own in scores:
        real = [score for score in own if not isnan(score)]
        mean = sum(real) / len(real) if real else 0
        spread = sqrt(sum((score - mean) ** 2 for score in real) / len(real)) if real else 0
        columns.append([0 if isnan(score) else (score - mean) / max(spread, 1e-6) for score in own])
    silent = [[float(isnan(score)) for score in own] for own in scores]
    share = [sum(flags) / len(scores) for flags in zip(*silent, strict=True)]
    alone = [[z * (quiet - min(share)) for z, quiet in zip(own, share, strict=True)] for own in columns]
    return np.array([*columns, *silent, *alone]).T


@given(
    scores=st.integers(1, 4).flatmap(
        lambda size: st.lists(st.lists(SCORES, min_size=size, max_size=size), min_size=1, max_size=4)
    )
)
def test_features_are_standardised_scores_and_silences(scores: list[list[float]]) -> None:
    spreads = [np.nanstd(own) for own in scores if not all(map(isnan, own))]
    if any(0 < spread < 1e-3 for spread in spreads):
        return  # too close to level for float32
    stacked = stack([np.array([own], dtype=np.float32) for own in scores])
    np.testing.assert_allclose(stacked[0], naive_features(scores), rtol=1e-3, atol=1e-3)


def test_the_scale_and_the_origin_of_a_source_do_not_count() -> None:
    plain, moved = Fixed(1, 2, 5, 3), Fixed(1001, 1002, 1005, 1003)
    questions, other = [query([], allowed=4)], Fixed(3, 1, 1, 2)
    one = fusion({"a": plain, "b": other}, 1, 1).search(questions, k=4)
    two = fusion({"a": moved, "b": other}, 1, 1).search(questions, k=4)
    np.testing.assert_array_equal(one.rows, two.rows)
    np.testing.assert_allclose(one.scores, two.scores, rtol=1e-3)


def test_no_opinion_is_not_a_low_score() -> None:
    """Item 2 is new to `ids`; its text is the best. As a zero in `ids` it would be last."""
    ids, text = Fixed(3, 2, nan, 1), Fixed(0, 1, 2, 1)
    questions = [query([], allowed=4)]
    assert fusion({"ids": ids, "text": text}, 1, 1).search(questions, k=4).rows[0, 0] == 2
    assert fusion({"ids": Fixed(3, 2, 0, 1), "text": text}, 1, 1).search(questions, k=4).rows[0, 0] != 2


def test_silence_has_weights_of_its_own() -> None:
    ids, text = Fixed(3, 2, nan, 1), Fixed(0, 1, 2, 1)
    questions = [query([], allowed=4)]
    shunned = fusion({"ids": ids, "text": text}, 1, 1, -9, 0)
    assert shunned.search(questions, k=4).rows[0].tolist()[-1] == 2
    trusted = fusion({"ids": ids, "text": text}, 1, 1, 0, 0, 0, 4)
    plain = fusion({"ids": ids, "text": text}, 1, 1)
    gain = trusted.search(questions, k=1).scores[0, 0] - plain.search(questions, k=1).scores[0, 0]
    z = (2 - 1) / np.std([0, 1, 2, 1])
    assert gain == pytest.approx(4 * z / 2, rel=1e-4)  # half of the sources are silent on it alone


def test_a_source_that_is_silent_on_everything_changes_no_order() -> None:
    questions = [query([], allowed=4)]
    speaks, quiet = Fixed(1, 4, 2, 3), Fixed(nan, nan, nan, nan)
    candidates = fusion({"a": speaks, "b": quiet}, 1, 1, 5, 5, -9, -9).search(questions, k=4)
    assert candidates.rows.tolist() == [[1, 3, 2, 0]]


def test_candidates_are_the_best_of_each_source_once() -> None:
    questions = [query([], allowed=5), query([], allowed=np.array([False, True, False, False, True]))]
    sources = [Fixed(9, 8, 7, nan, 1), Fixed(nan, 5, 9, nan, 8)]
    assert gather(sources, questions, depth=2).tolist() == [[0, 1, 2, 4], [1, 4, -1, -1]]
    assert (
        fusion({"a": sources[0], "b": sources[1]}, 1, 1, depth=2).search(questions, k=5).rows[1, 2:].tolist()
        == [-1] * 3
    )


def test_rows_are_scored_as_they_stand_among_the_candidates() -> None:
    sources = {"a": Fixed(9, 8, 7, 1, 5), "b": Fixed(1, 5, 9, 3, 8)}
    fused, questions = fusion(sources, 1, 1, depth=2), [query([], allowed=5)]
    candidates = fused.search(questions, k=5)
    rows = candidates.rows[0][candidates.rows[0] >= 0]
    whole = fused.score(questions, everything(1, items=5))[0]
    np.testing.assert_allclose(whole[rows], candidates.scores[0, : len(rows)], rtol=1e-4)
    np.testing.assert_array_equal(fused.score(questions, np.array([[3]]))[0], whole[3:4])
    assert np.isnan(fused.score(questions, np.array([[-1]]))).all()


def test_a_query_without_any_candidate_has_no_scores() -> None:
    fused = fusion({"a": Fixed(nan, nan)}, 1)
    assert np.isnan(fused.score([query([], allowed=2)], everything(1, items=2))).all()
    candidates, why = fused.attributed([query([], allowed=2)], k=2)
    assert (candidates.rows == -1).all()
    assert why == [[]]


def test_every_item_names_the_source_that_lifted_it_most_and_all_that_had_an_opinion() -> None:
    sources = {"a": Fixed(9, 1, 1, nan), "b": Fixed(1, 9, 1, 1), "c": Fixed(1, 1, 2, 9)}
    candidates, why = fusion(sources, 1, 1, 1).attributed([query([], allowed=4)], k=4)
    lifted = {int(row): source for row, (source, _) in zip(candidates.rows[0], why[0], strict=True)}
    assert lifted == {0: "a", 1: "b", 3: "c", 2: "c"}
    heard = {int(row): names for row, (_, names) in zip(candidates.rows[0], why[0], strict=True)}
    assert heard[0] == ("a", "b", "c")
    assert heard[3] == ("b", "c")


def test_the_weight_decides_who_lifted_most_and_the_silent_never_did() -> None:
    sources = {"a": Fixed(9, 1, 1, nan), "b": Fixed(9, 1, 1, 1)}
    _, why = fusion(sources, 1, 3, 99, 0).attributed([query([], allowed=4)], k=4)
    assert why[0][0][0] == "b"
    _, why = fusion(sources, 3, 1, 0, 0).attributed([query([], allowed=4)], k=4)
    assert ("b", ("b",)) in why[0]


def test_why_does_not_depend_on_how_many_are_asked_for() -> None:
    generator = np.random.default_rng(4)
    sources = {name: Fixed(*generator.standard_normal(30)) for name in "abc"}
    fused, questions = fusion(sources, 1, 0.7, 1.2), [query([], allowed=30)]
    assert fused.attributed(questions, k=3)[1][0] == fused.attributed(questions, k=30)[1][0][:3]


def test_weights_that_do_not_fit_the_sources_are_refused() -> None:
    arrays = {"weights": np.zeros(4, dtype=np.float32)}
    part = Part(name="blend", kind="fusion", config={"sources": ["a", "b"], "depth": 5}, arrays=arrays)
    with pytest.raises(BundleError, match="4 weights for 2 sources; train it again"):
        Fusion.from_part(part)
