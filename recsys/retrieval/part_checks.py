"""What every part of a bundle must be before it may answer, whoever made the bundle: numbers, and one row an item."""

from collections.abc import Iterable, Mapping

import numpy as np

from recsys.bundle import Part
from recsys.errors import BundleError
from recsys.retrieval.registry import TYPES

ITEM_ARRAYS: Mapping[str, tuple[int, str]] = {
    "item_vectors": (2, "f"),
    "vectors": (2, "f"),
    "scores": (1, "f"),
    "weights": (1, "f"),
    "popularity": (1, "f"),
    "repeat_rate": (1, "f"),
    "known": (1, "b"),
}
"""Arrays with one row an item, in every part but a fusion: their number of axes, and numpy's letter of their type."""


def check_parts(parts: Iterable[Part], *, items: int) -> None:
    """Does nothing if the arrays of `parts` hold numbers alone and fit a catalogue of `items`.

    Raises:
        BundleError: they do not.
    """
    for part in parts:
        _check_numbers(part)
        if part.kind in TYPES:
            _check_rows(part, items=items)


def _check_numbers(part: Part) -> None:
    """Each NaN in a vector is one in every score that the vector has a share in."""
    for name, array in part.arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise BundleError(f"part {part.name!r} has NaN or infinite numbers in {name!r}; train it again")


def _check_rows(part: Part, *, items: int) -> None:
    for name in ITEM_ARRAYS.keys() & part.arrays.keys():
        array, (axes, letter) = part.arrays[name], ITEM_ARRAYS[name]
        if array.ndim != axes or array.dtype.kind != letter:
            raise BundleError(f"part {part.name!r} has {name!r} as {array.dtype} {array.shape}; train it again")
        if len(array) != items:
            raise BundleError(
                f"part {part.name!r} has {len(array)} rows in {name!r} for a catalogue of {items} items; train it again"
            )
