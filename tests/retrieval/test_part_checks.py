"""A bundle with a part that cannot answer is refused when it is loaded to serve, whichever part and whatever array it is."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from recsys.bundle import Bundle, Part
from recsys.bundle_io import load_bundle
from recsys.errors import BundleError
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.serving import list_serving_model
from recsys.retrieval.serving import serving_model
from tests.worlds import Planted

OPEN_ENDED = {"values", "kinds", "codes", "residual"}
"""Arrays over the values of attributes, where one more is a value that no item has, and over the items trained on alone."""


@pytest.fixture(scope="module")
def bundle(trained: Planted) -> Bundle:
    return load_bundle(trained.bundle)


def with_part(bundle: Bundle, part: Part) -> Bundle:
    return replace(bundle, parts={**bundle.parts, part.name: part})


def serve(bundle: Bundle, part: Part) -> None:
    """Restores the half of the bundle that `part` belongs to."""
    restore = list_serving_model if part.name.startswith(PREFIX) else serving_model
    restore(with_part(bundle, part))


def arrays(bundle: Bundle) -> Iterator[tuple[Part, str, NDArray[Any]]]:
    for part in bundle.parts.values():
        for name, array in part.arrays.items():
            yield part, name, array


def shorter(array: NDArray[Any]) -> NDArray[Any]:
    return array[:-1]


def longer(array: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([array, array[-1:]])


def accepted(bundle: Bundle, change: Callable[[NDArray[Any]], NDArray[Any]], *, kinds: str) -> list[str]:
    """The arrays, of numpy's type letters `kinds`, that are taken after `change`; with another error than ours it ends."""
    names = []
    for part, name, array in arrays(bundle):
        if array.dtype.kind in kinds and name not in OPEN_ENDED:
            try:
                serve(bundle, replace(part, arrays=part.arrays | {name: change(array)}))
            except BundleError:
                continue
            names.append(f"{part.name} {name}")
    return names


def last_number(value: float) -> Callable[[NDArray[Any]], NDArray[Any]]:
    def change(array: NDArray[Any]) -> NDArray[Any]:
        changed = array.copy()
        changed.reshape(-1)[-1] = value
        return changed

    return change


def test_the_whole_bundle_is_accepted(bundle: Bundle) -> None:
    items, lists = serving_model(bundle), list_serving_model(bundle)
    names = {*items.sources, *items.fusions, *(f"lists/{name}" for name in (*lists.sources, *lists.encoders))}
    assert names | {"lists/continue"} >= set(bundle.parts)


def test_no_array_is_of_another_length(bundle: Bundle) -> None:
    assert accepted(bundle, shorter, kinds="fib") == []
    assert accepted(bundle, longer, kinds="fib") == ["lists/neighbours indptr"]  # one more list, of no items


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_array_holds_what_is_no_number(bundle: Bundle, value: float) -> None:
    assert accepted(bundle, last_number(value), kinds="f") == []


@pytest.mark.parametrize("value", [10**6, -5])
def test_no_column_lies_outside_its_matrix(bundle: Bundle, value: int) -> None:
    columns = [(part, name, array) for part, name, array in arrays(bundle) if name.endswith("indices")]
    for part, name, array in columns:
        with pytest.raises(BundleError, match="does not fit its settings"):
            serve(bundle, replace(part, arrays=part.arrays | {name: last_number(value)(array)}))


@pytest.mark.parametrize("name", ["popular", "lists/popular"])
def test_a_catalogue_of_another_length_is_named(bundle: Bundle, name: str) -> None:
    part = bundle.parts[name]
    with pytest.raises(BundleError, match="has 39 rows in 'scores' for a catalogue of 40 items"):
        serve(bundle, replace(part, arrays={"scores": part.arrays["scores"][:-1]}))


@pytest.mark.parametrize("name", ["popular", "lists/popular"])
def test_a_type_of_part_that_nobody_knows_is_refused(bundle: Bundle, name: str) -> None:
    with pytest.raises(BundleError, match="mystery"):
        serve(bundle, replace(bundle.parts[name], kind="mystery"))


@pytest.mark.parametrize("name", ["blend", "lists/continue"])
@pytest.mark.parametrize("change", [{"sources": 7}, {"sources": [1]}, {"sources": ["x"]}, {"depth": 0}, {"depth": "x"}])
def test_a_fusion_of_what_cannot_be_blended_is_refused(bundle: Bundle, name: str, change: dict[str, Any]) -> None:
    part = bundle.parts[name]
    with pytest.raises(BundleError, match="train it again"):
        serve(bundle, replace(part, config=part.config | change))


def test_a_fusion_of_lists_names_sources_that_are_there(bundle: Bundle) -> None:
    parts = {name: part for name, part in bundle.parts.items() if name != "lists/markov"}
    with pytest.raises(BundleError, match="blends markov, which the bundle lacks"):
        list_serving_model(replace(bundle, parts=parts))
