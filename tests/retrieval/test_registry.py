"""The registry: one row a type of part, and a recipe under the same key."""

import numpy as np
import pytest

from recsys.bundle import Part
from recsys.errors import BundleError
from recsys.retrieval.registry import TYPES, capabilities, kinds, restore
from recsys.retrieval.source import StoredSource
from recsys.training.recipes import RECIPES, cold_scores, trainable
from tests.retrieval.kinds import SINGLE, TEXTS
from tests.retrieval.worlds import World, query


def test_every_type_has_a_recipe_and_every_recipe_a_type() -> None:
    assert list(TYPES) == list(RECIPES)


def test_a_type_that_needs_others_comes_after_them() -> None:
    order = list(TYPES)
    for kind, row in TYPES.items():
        assert all(order.index(needed) < order.index(kind) for needed in row.capabilities.needs)


def test_what_is_blended_by_default_is_trained_for_the_blend() -> None:
    for kind in kinds(lambda can: can.default_blend):
        answers = TYPES[kind].capabilities.answers
        assert RECIPES[kind].learns_from == ("histories" if answers == "items" else "list blend")


def test_parts_of_the_blend_of_lists_are_not_trained_by_name() -> None:
    assert {"ease", "sasrec-hybrid", "item-text", "set"} <= set(trainable())
    assert not [kind for kind in trainable() if kind.startswith("list-")]


@pytest.mark.parametrize("kind", SINGLE)
def test_a_source_is_of_the_kind_of_its_row(kind: str, sources: dict[str, StoredSource]) -> None:
    assert sources[kind].kind == sources[kind].part("x").kind == kind


@pytest.mark.parametrize("kind", SINGLE)
def test_a_source_that_knows_new_items_reads_their_texts_or_names_its_text_encoder(
    kind: str, sources: dict[str, StoredSource]
) -> None:
    source = sources[kind]
    reads_texts = source.with_texts(np.array([0]), ["a text"]) is not source
    assert (source.text_encoder == "hashed" or reads_texts) == (kind in TEXTS)


def test_the_cold_score_is_the_one_that_the_source_gives(sources: dict[str, StoredSource], planted: World) -> None:
    later = planted.dataset.items + 1
    for kind, score in cold_scores().items():
        questions = [query([0, 1], allowed=later + 1)]
        np.testing.assert_equal(sources[kind].score(questions, np.array([[later]]))[0, 0], np.float32(score))


def test_a_kind_of_another_version_is_refused() -> None:
    part = Part(name="x", kind="oracle", config={}, arrays={})
    with pytest.raises(BundleError, match="part 'x' is of kind 'oracle', unknown to this version"):
        restore(part)
    with pytest.raises(BundleError, match="kind 'oracle' are unknown to this version"):
        capabilities("oracle")


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BundleError, match="part 'x' does not fit its settings"):
        restore(Part(name="x", kind="ease", config={}, arrays={}))


def test_a_part_without_those_it_needs_is_refused() -> None:
    with pytest.raises(BundleError, match="part 'x' needs parts of kind list-names, list-spelt beside it"):
        restore(Part(name="x", kind="list-named", config={}, arrays={}))
