"""The parts of a bundle as they answer: by name, filled up where they find too few, extended by new items."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.bundle import Bundle, Part
from recsys.errors import BundleError, InvalidRequest
from recsys.ranking.pipeline import Ranking, RankingOptions, rank
from recsys.retrieval.fusion import Fusion
from recsys.retrieval.registry import restore
from recsys.retrieval.serving import ServingModel, popular_only, serving_model
from recsys.retrieval.source import Query, StoredSource
from recsys.store.records import LAST_LAYER
from tests.retrieval.kinds import FOR_ALL, TEXTS, blended
from tests.retrieval.worlds import World, query


@pytest.fixture
def bundle(sources: dict[str, StoredSource], planted: World) -> Bundle:
    parts = {name: source.part(name) for name, source in sources.items()}
    parts["blend"] = blended(sources).fusion.part("blend")
    return Bundle(parts=parts, default="blend", item_ids=planted.dataset.item_ids, about={})


@pytest.fixture
def model(bundle: Bundle) -> ServingModel:
    return serving_model(bundle)


def filled(model: ServingModel, queries: list[Query], *, k: int, part: str) -> Ranking:
    return rank(model, queries, RankingOptions(part=part, k=k, fill=True))


def test_a_bundle_answers_with_each_of_its_parts(model: ServingModel, bundle: Bundle, planted: World) -> None:
    for name in bundle.parts:
        ranking = filled(model, [query([1, 2], allowed=planted.items)], k=7, part=name)
        assert (ranking.rows >= 0).all()
        assert len(ranking.attributions[0]) == 7
        for source, scoring in ranking.attributions[0]:
            assert source in scoring
            assert set(scoring) <= set(model.sources)


def test_the_default_answers_unless_another_is_asked_for(model: ServingModel) -> None:
    assert model.part_name(None) == "blend"
    assert model.part_name("markov") == "markov"
    with pytest.raises(InvalidRequest, match=r"unknown encoder 'bert': choose one of als, blend, bpr"):
        model.part_name("bert")


def test_popular_items_fill_what_a_part_cannot(model: ServingModel, planted: World) -> None:
    width = planted.dataset.items + 2
    allowed = np.ones(width, dtype=np.bool_)
    allowed[3] = False
    queries = [query([1, 2], allowed=allowed), query([], allowed=allowed)]
    ranking = filled(model, queries, k=width, part="item-neighbours")
    counts = [sum(source == "item-neighbours" for source, _ in sources) for sources in ranking.attributions]
    assert 0 < counts[0] < width
    assert counts[1] == 0
    for rows, scores, sources in zip(ranking.rows, ranking.scores, ranking.attributions, strict=True):
        assert sorted(rows[: width - 1].tolist()) == [row for row in range(width) if row != 3]
        assert (np.diff(scores[: width - 1]) < 0).sum() >= width - 2 - 5  # only what was found may be level
        assert rows[-1] == -1
        assert len(sources) == width - 1
    popular = model.sources["popular"].search([query([], allowed=allowed)], k=width).rows[0]
    np.testing.assert_array_equal(ranking.rows[1], popular)
    added = ranking.rows[0, counts[0] : width - 1].tolist()
    assert added == [row for row in popular.tolist() if row in added]


def test_what_fills_is_the_same_however_many_are_asked_for(model: ServingModel, planted: World) -> None:
    queries = [query([1, 2], allowed=planted.items)]
    long, short = (filled(model, queries, k=k, part="item-neighbours") for k in (40, 30))
    np.testing.assert_array_equal(short.rows, long.rows[:, :30])
    np.testing.assert_array_equal(short.scores, long.scores[:, :30])


def test_without_a_popular_part_nothing_is_filled(bundle: Bundle, planted: World) -> None:
    smaller = replace(bundle, parts={"markov": bundle.parts["markov"]}, default="markov")
    model = serving_model(smaller)
    ranking = filled(model, [query([], allowed=planted.items)], k=3, part=model.part_name(None))
    assert (ranking.rows == -1).all()
    assert ranking.attributions == [[]]


def test_new_items_reach_every_part_that_reads_texts(model: ServingModel, planted: World) -> None:
    assert model.text_encoders == {"hashed"}
    new = planted.dataset.items
    between = planted.text[:1] + planted.text[[np.argmin(planted.text[: planted.items] @ planted.text[0])]]
    text = between / np.linalg.norm(between)  # like two items, and a near-duplicate of neither
    grown = model.with_items(np.array([new]), {LAST_LAYER: text}).with_texts(np.array([new]), planted.dataset.texts[:1])
    queries = [query([0], allowed=new + 1)]
    for name in model.sources:
        assert (new in grown.sources[name].search(queries, k=new + 1).rows) == (name in (*TEXTS, *FOR_ALL))
        assert len(filled(grown, queries, k=new + 1, part=name).attributions[0]) == new + 1
    assert new not in model.sources["text"].search(queries, k=new + 1).rows
    blend = filled(grown, queries, k=new + 1, part="blend")
    _, scoring = blend.attributions[0][blend.rows[0].tolist().index(new)]
    assert {"text", "sasrec-text"} < set(scoring)
    assert not {"markov", "als", "sasrec"} & set(scoring)


def test_a_near_duplicate_of_a_trained_item_has_the_sources_of_its_original(
    model: ServingModel, planted: World
) -> None:
    new, original = planted.dataset.items, int(planted.successor[0])
    copy = planted.dataset.texts[original]
    grown = model.with_items(np.array([new]), {LAST_LAYER: planted.text[[original]]}).with_texts(
        np.array([new]), [copy]
    )
    candidates, attributions = grown.search([query([0], allowed=new + 1)], k=new + 1, name="blend")
    positions = {row: position for position, row in enumerate(candidates.rows[0].tolist())}
    assert attributions[0][positions[new]][1] == attributions[0][positions[original]][1]
    assert abs(positions[new] - positions[original]) <= 1


def test_before_anything_is_trained_counts_answer() -> None:
    model = popular_only(np.array([2, 0, 7]))
    candidates, attributions = model.search([query([], allowed=4)], k=4, name=model.part_name(None))
    assert candidates.rows.tolist() == [[2, 0, 1, 3]]
    assert attributions[0][0] == ("popular", ("popular",))


def test_a_part_of_an_unknown_kind_is_refused() -> None:
    part = Part(name="oracle", kind="crystal-ball", config={}, arrays={})
    with pytest.raises(BundleError, match="'oracle' is of kind 'crystal-ball', unknown to this version: upgrade or"):
        restore(part)


@pytest.mark.parametrize("name", ["markov", "als", "bpr", "popular", "text", "sasrec"])
def test_a_part_that_lacks_an_array_is_refused(name: str, sources: dict[str, StoredSource]) -> None:
    whole = sources[name].part(name)
    for missing in whole.arrays:
        arrays = {key: value for key, value in whole.arrays.items() if key != missing}
        with pytest.raises(BundleError, match=f"part '{name}' does not fit its settings"):
            restore(replace(whole, arrays=arrays))


def test_a_part_that_lacks_a_setting_is_refused(sources: dict[str, StoredSource]) -> None:
    whole = sources["markov"].part("markov")
    with pytest.raises(BundleError, match=r"part 'markov' does not fit its settings \('decay'\); train it again"):
        restore(replace(whole, config={}))
    with pytest.raises(BundleError, match=r"part 'blend' does not fit its settings \('sources'\); train it again"):
        Fusion.from_part(Part(name="blend", kind="fusion", config={}, arrays={}))
