"""The rows on the house style count what they say they count."""

import ast

import polars as pl
import pytest

from tests.benchmarks.foundation_house_lists import identical
from tests.benchmarks.foundation_house_static import bound_names, class_checks

OLD = [("a", 3.0), ("b", 2.0), ("c", 1.0)]


def lists(*items: tuple[str, float]) -> pl.DataFrame:
    ranks = range(1, len(items) + 1)
    return pl.DataFrame(
        {
            "user_id": ["u"] * len(items),
            "rank": ranks,
            "item_id": [item for item, _ in items],
            "score": [score for _, score in items],
        }
    )


@pytest.mark.parametrize(
    ("new", "same"),
    [
        pytest.param(OLD, True, id="equal"),
        pytest.param([("a", 3.1), ("b", 2.0), ("c", 1.0)], True, id="another score"),
        pytest.param([("b", 3.0), ("a", 2.0), ("c", 1.0)], False, id="two items changed places"),
        pytest.param([("x", 3.0), ("b", 2.0), ("c", 1.0)], False, id="an item replaced at the same score"),
        pytest.param([("a", 3.0), ("b", 2.0), ("x", 1.0)], True, id="an item replaced at the end"),
        pytest.param([("a", 3.0), ("b", 2.0)], False, id="shorter"),
        pytest.param([*OLD, ("d", 0.5)], False, id="longer"),
    ],
)
def test_lists_are_identical_but_for_ties(new: list[tuple[str, float]], same: bool) -> None:
    assert identical(lists(*OLD), lists(*new))["same"].to_list() == [same]


def test_items_of_equal_scores_may_change_places() -> None:
    ties = [("a", 3.0), ("b", 2.0), ("c", 2.00001), ("d", 1.0)]
    assert identical(lists(*ties), lists(ties[0], ties[2], ties[1], ties[3]))["same"].all()


def test_a_user_of_one_side_alone_differs() -> None:
    assert not identical(lists(*OLD), lists(*OLD).with_columns(user_id=pl.lit("v")))["same"].any()


def test_names_are_those_that_a_module_binds() -> None:
    code = (
        "import x as told\ndef read(given): held.shown = found = used(loaded)\n[one for one in alone]\nclass Past: ..."
    )
    assert sorted(bound_names(ast.parse(code))) == ["Past", "found", "given", "one", "read", "shown", "told"]


def test_checks_of_a_class_are_isinstance_and_patterns() -> None:
    code = "isinstance(x, A)\nisinstance(x, B | module.C)\nmatch x:\n    case D(): ...\nx.isinstance(E)"
    checks = set(class_checks(ast.parse(code))) - {("module", 2)}
    assert checks == {("A", 1), ("B", 2), ("C", 2), ("D", 4)}
