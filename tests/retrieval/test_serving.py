"""The parts of a bundle as they answer: by name, filled up where they find too few, grown by new items."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.bundle import Bundle, Part
from recsys.errors import BundleError, InvalidRequest
from recsys.retrieval.fusion import Fusion
from recsys.retrieval.registry import StoredSource, restore
from recsys.retrieval.serving import Deployed, deploy, popular_only
from recsys.store.vectors import LAYER
from tests.retrieval.kinds import TEXTS, blended
from tests.retrieval.worlds import World, query


@pytest.fixture
def bundle(sources: dict[str, StoredSource], planted: World) -> Bundle:
    parts = {name: source.part(name) for name, source in sources.items()}
    parts["blend"] = blended(sources).fusion.part("blend")
    return Bundle(parts=parts, default="blend", item_ids=planted.dataset.item_ids, about={})


@pytest.fixture
def deployed(bundle: Bundle) -> Deployed:
    return deploy(bundle)


def test_a_bundle_answers_with_each_of_its_parts(deployed: Deployed, bundle: Bundle, planted: World) -> None:
    for name in bundle.parts:
        found, why = deployed.search([query([1, 2], allowed=planted.items)], k=7, encoder=name)
        assert (found.rows >= 0).all()
        assert len(why[0]) == 7
        for source, heard in why[0]:
            assert source in heard
            assert set(heard) <= set(deployed.sources)


def test_the_default_answers_unless_another_is_asked_for(deployed: Deployed) -> None:
    assert deployed.name(None) == "blend"
    assert deployed.name("markov") == "markov"
    with pytest.raises(InvalidRequest, match=r"unknown encoder 'bert': choose one of als, blend, bpr"):
        deployed.name("bert")


def test_popular_items_fill_what_a_part_cannot(deployed: Deployed, planted: World) -> None:
    width = planted.dataset.items + 2
    allowed = np.ones(width, dtype=np.bool_)
    allowed[3] = False
    asked = [query([1, 2], allowed=allowed), query([], allowed=allowed)]
    found, why = deployed.search(asked, k=width, encoder="item-neighbours")
    own = [sum(source == "item-neighbours" for source, _ in reasons) for reasons in why]
    assert 0 < own[0] < width
    assert own[1] == 0
    for rows, scores, reasons in zip(found.rows, found.scores, why, strict=True):
        assert sorted(rows[: width - 1].tolist()) == [row for row in range(width) if row != 3]
        assert (np.diff(scores[: width - 1]) < 0).sum() >= width - 2 - 5  # only what was found may be level
        assert rows[-1] == -1
        assert len(reasons) == width - 1
    popular = deployed.sources["popular"].search([query([], allowed=allowed)], k=width).rows[0]
    np.testing.assert_array_equal(found.rows[1], popular)
    filled = found.rows[0, own[0] : width - 1].tolist()
    assert filled == [row for row in popular.tolist() if row in filled]


def test_what_fills_is_the_same_however_many_are_asked_for(deployed: Deployed, planted: World) -> None:
    asked = [query([1, 2], allowed=planted.items)]
    long, _ = deployed.search(asked, k=40, encoder="item-neighbours")
    short, _ = deployed.search(asked, k=30, encoder="item-neighbours")
    np.testing.assert_array_equal(short.rows, long.rows[:, :30])
    np.testing.assert_array_equal(short.scores, long.scores[:, :30])


def test_without_a_popular_part_nothing_is_filled(bundle: Bundle, planted: World) -> None:
    alone = replace(bundle, parts={"markov": bundle.parts["markov"]}, default="markov")
    found, why = deploy(alone).search([query([], allowed=planted.items)], k=3, encoder=None)
    assert (found.rows == -1).all()
    assert why == [[]]


def test_new_items_reach_every_part_that_reads_texts(deployed: Deployed, planted: World) -> None:
    assert deployed.text_encoders == {"hashed"}
    new = planted.dataset.items
    between = planted.text[:1] + planted.text[[np.argmin(planted.text[: planted.items] @ planted.text[0])]]
    text = between / np.linalg.norm(between)  # like two items, and no twin of either
    grown = deployed.with_items(np.array([new]), {LAYER: text})
    asked = [query([0], allowed=new + 1)]
    for name in deployed.sources:
        _, why = grown.search(asked, k=new + 1, encoder=name)
        assert (new in grown.sources[name].search(asked, k=new + 1).rows) == (name in (*TEXTS, "popular", "recent"))
        assert len(why[0]) == new + 1
    assert new not in deployed.sources["text"].search(asked, k=new + 1).rows
    blend = grown.search(asked, k=new + 1, encoder="blend")
    place = blend[0].rows[0].tolist().index(new)
    assert {"text", "sasrec-text"} < set(blend[1][0][place][1])
    assert not {"markov", "als", "sasrec"} & set(blend[1][0][place][1])


def test_a_new_item_that_reads_as_a_known_one_has_the_voices_of_its_twin(deployed: Deployed, planted: World) -> None:
    new, twin = planted.dataset.items, planted.successor[0]
    grown = deployed.with_items(np.array([new]), {LAYER: planted.text[[twin]]})
    found, why = grown.search([query([0], allowed=new + 1)], k=new + 1, encoder="blend")
    places = {row: place for place, row in enumerate(found.rows[0].tolist())}
    assert why[0][places[new]][1] == why[0][places[twin]][1]
    assert abs(places[new] - places[twin]) <= 1


def test_before_anything_is_trained_counts_answer() -> None:
    found, why = popular_only(np.array([2, 0, 7])).search([query([], allowed=4)], k=4, encoder=None)
    assert found.rows.tolist() == [[2, 0, 1, 3]]
    assert why[0][0] == ("popular", ("popular",))


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
