"""Why an item was recommended: additive terms, nearest items, or what is lost when an event is left out."""

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from recsys.bundle_io import load_bundle
from recsys.retrieval.explanation import MAX_EVENTS, MAX_REASONS, Explanation, Reason, leave_one_out, nearest
from recsys.retrieval.fusion import Fusion, FusionSource
from recsys.retrieval.item_item import ItemItemSource
from recsys.retrieval.lists.serving import list_serving_model
from recsys.retrieval.registry import TYPES, capabilities, kinds
from recsys.retrieval.source import StoredSource
from tests.retrieval.kinds import FOR_ALL, ORDERED, SINGLE
from tests.retrieval.worlds import World, query
from tests.worlds import Planted

TERMS = kinds(lambda can: can.answers == "items" and can.explains == "terms")


@pytest.mark.parametrize("kind", SINGLE)
def test_every_source_explains_by_the_items_of_the_history(
    kind: str, sources: dict[str, StoredSource], planted: World
) -> None:
    question = query([3, 9, 3, 20], allowed=planted.items)
    rows = sources[kind].search([question], k=5).rows[0]
    explanations = sources[kind].explain(question, rows)
    assert len(explanations) == len(rows)
    for reasons in explanations:
        assert len(reasons) <= MAX_REASONS
        assert {reason.row for reason in reasons} <= {3, 9, 20}
        weights = [reason.weight for reason in reasons]
        assert weights == sorted(weights, reverse=True)
        assert all(weight > 0 for weight in weights)
    assert any(explanations) == (kind not in FOR_ALL)


@pytest.mark.parametrize("kind", SINGLE)
def test_a_source_explains_as_its_capabilities_say(kind: str, sources: dict[str, StoredSource], planted: World) -> None:
    source: Any = sources[kind]
    question = query([3, 9, 3, 20], allowed=planted.items)
    rows = source.search([question], k=5).rows[0]
    expected: list[Explanation]
    match TYPES[kind].capabilities.explains:
        case "nothing":
            expected = [()] * len(rows)
        case "leave-one-out":
            expected = leave_one_out(source, question, rows)
        case "itself":
            expected = [(Reason(row, 0),) if row >= 0 else () for row in rows.tolist()]
        case "nearest":
            vectors = source.vectors.toarray() if sp.issparse(source.vectors) else source.vectors
            expected = nearest(vectors, question.history.rows, rows)
        case "terms":  # which add up, as the next test shows
            assert kind in TERMS
            return
    explanations = source.explain(question, rows)
    assert [[reason.row for reason in reasons] for reasons in explanations] == [
        [reason.row for reason in reasons] for reasons in expected
    ]


@pytest.mark.parametrize("kind", ORDERED)
def test_the_planted_predecessor_is_the_first_reason(
    kind: str, sources: dict[str, StoredSource], planted: World
) -> None:
    right = 0
    for start in range(planted.items):
        other = int(np.flatnonzero(planted.cluster != planted.cluster[start])[0])
        question = query([other, start], allowed=planted.items)
        (reasons,) = sources[kind].explain(question, planted.successor[[start]])
        right += bool(reasons) and reasons[0].row == start
    assert right > 0.9 * planted.items


@pytest.mark.parametrize("kind", TERMS)
def test_the_terms_of_an_item_item_model_add_up_to_its_score(
    kind: str, sources: dict[str, StoredSource], planted: World
) -> None:
    source = sources[kind]
    assert isinstance(source, ItemItemSource)
    history = query([4, 11, 4], allowed=planted.items)
    rows = source.search([history], k=4).rows[0]
    rows = rows[rows >= 0]
    weights = {4: 1 + source.decay**2, 11: source.decay}
    terms = [{i: weight * source.matrix[i, row] for i, weight in weights.items()} for row in rows]
    for reasons, of_row in zip(source.explain(history, rows), terms, strict=True):
        positive = {i: term for i, term in of_row.items() if term > 0}
        assert {reason.row: reason.weight for reason in reasons} == pytest.approx(positive, rel=1e-5)
    totals = [sum(of_row.values()) for of_row in terms]
    np.testing.assert_allclose(source.score([history], rows[None])[0], totals, rtol=1e-5)


def test_leaving_the_only_item_out_takes_the_whole_score(sources: dict[str, StoredSource], planted: World) -> None:
    question = query([5], allowed=planted.items)
    rows = sources["markov"].search([question], k=3).rows[0]
    scores = sources["markov"].score([question], rows[None])[0]
    weights = [reasons[0].weight for reasons in leave_one_out(sources["markov"], question, rows)]
    np.testing.assert_allclose(weights, scores, rtol=1e-6)


def test_an_empty_history_and_unknown_rows_have_no_reasons(sources: dict[str, StoredSource], planted: World) -> None:
    width = planted.dataset.items + 3
    for kind in SINGLE:
        assert sources[kind].explain(query([], allowed=width), np.array([1, 2])) == [(), ()]
        assert sources[kind].explain(query([1, 2], allowed=width), np.array([width - 1])) == [()]


def test_the_nearest_items_come_first() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.8, 0.6], [-1, 0]], dtype=np.float32)
    (reasons,) = nearest(vectors, np.array([1, 2, 3]), np.array([0]))
    assert [(reason.row, round(reason.weight, 3)) for reason in reasons] == [(2, 0.8)]


def test_items_that_the_history_s_vector_leaves_out_are_no_reasons(
    sources: dict[str, StoredSource], planted: World
) -> None:
    source: Any = sources["text"]
    window = source.config["window"]
    old, recent = 7, [3, 9] * window
    question = query([old, *recent], allowed=planted.items)
    (reasons,) = source.explain(question, np.array([old]))
    assert {reason.row for reason in reasons} <= {3, 9}
    np.testing.assert_array_equal(
        source.score([question], np.array([[old]])),
        source.score([query(recent, allowed=planted.items)], np.array([[old]])),
    )


@pytest.mark.parametrize("kind", ["als", "sasrec"])
def test_the_only_item_is_the_reason_whatever_the_score(
    kind: str, sources: dict[str, StoredSource], planted: World
) -> None:
    question, rows = query([5], allowed=planted.items), np.arange(planted.items)
    scores = sources[kind].score([question], rows[None])[0]
    assert (scores < 0).any()
    for reasons, score in zip(sources[kind].explain(question, rows), scores, strict=True):
        assert [reason.row for reason in reasons] == [5]
        assert reasons[0].weight == pytest.approx(abs(score), rel=1e-4, abs=1e-6)


def test_unknown_items_at_the_end_of_a_history_hide_no_reason(sources: dict[str, StoredSource], planted: World) -> None:
    new = planted.dataset.items + np.arange(MAX_EVENTS)
    question = query([5, *new.tolist()], allowed=planted.dataset.items + MAX_EVENTS)
    (reasons,) = sources["als"].explain(question, np.array([3]))
    assert [reason.row for reason in reasons] == [5]


def test_a_source_of_negative_weight_does_not_lead_a_blend(sources: dict[str, StoredSource], planted: World) -> None:
    weights = np.array([0.1, -0.5, 0, 0, 0, 0], dtype=np.float32)
    fusion = Fusion(("als", "markov"), weights, 20, {})
    question = query([3, 9], allowed=planted.items)
    _, (attributions,) = FusionSource(fusion, sources).attributed([question], k=10)
    assert {leading for leading, names in attributions if "als" in names} == {"als"}


def test_sources_of_lists_explain_as_their_capabilities_say(trained: Planted) -> None:
    model = list_serving_model(load_bundle(trained.bundle))
    allowed = np.ones(30, dtype=np.bool_)
    explained = dict[str, bool]()
    for name, source in model.sources.items():
        question = query([3, 9, 3, 20], allowed=len(allowed))
        explanations = source.explain(question, np.arange(30))
        assert len(explanations) == 30
        assert {reason.row for reasons in explanations for reason in reasons} <= {3, 9, 20}
        explained[name] = any(explanations)
        assert explained[name] == (capabilities(source.kind).explains != "nothing"), name
    assert {True, False} == set(explained.values())
