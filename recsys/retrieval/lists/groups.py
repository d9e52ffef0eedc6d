"""Groups of items that share the value of an attribute: an artist, an album, a brand."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.data.playlists import Playlists
from recsys.retrieval.stored_arrays import stored_csr

MIN_COMMON_ITEMS = 20
"""A group of no more items is never too common: a small catalogue has artists, too."""
PREFERRED = ("artist", "brand", "author")
"""Beginnings of the names of attributes by which items are of one kind, the surest first; without any of them it is the
attribute that groups the most items."""
MAX_CHARACTERS = 100
"""Of a value that can name a group; longer ones are prose."""


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """`members` (items, values) is 1 where an item has a value, `texts` are the values, of which the first `kinds` are of the one
    attribute that says which items are of one kind, such as their artist."""

    members: sp.csr_matrix
    texts: tuple[str, ...]
    kinds: int


def groups(lists: Playlists, *, common: float) -> Groups:
    """The values of `lists.attributes`, each a text or one of a list of texts.

    A value is a group where it stands at 2 items and at most at the share `common` of them, or at `MIN_COMMON_ITEMS`.
    """
    values = [_values(attributes) for attributes in lists.attributes] or [()] * lists.data.items
    counts = Counter(value for of_item in values for value in of_item)
    most = max(MIN_COMMON_ITEMS, common * len(values))
    grouping = [value for value, count in counts.items() if 2 <= count <= most]
    kind = _kind({value: counts[value] for value in grouping})
    grouping.sort(key=lambda value: value[0] != kind)
    number = {value: i for i, value in enumerate(grouping)}
    numbers = [[number[value] for value in of_item if value in number] for of_item in values]
    columns = np.array([column for of_item in numbers for column in of_item], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum([len(of_item) for of_item in numbers])])
    ones = np.ones(len(columns), dtype=np.float32)
    members = sp.csr_matrix((ones, columns, starts), shape=(len(values), len(number)))
    return Groups(members, tuple(text for _, text in grouping), sum(key == kind for key, _ in grouping))


def _kind(counts: Mapping[tuple[str, str], int]) -> str | None:
    """The attribute of (attribute, text) values that says which items are of one kind; None without any."""
    items = Counter[str]()
    for (key, _), count in counts.items():
        items[key] += count

    def surest(key: str) -> tuple[int, int]:
        ranks = (rank for rank, name in enumerate(PREFERRED) if key.casefold().startswith(name))
        return next(ranks, len(PREFERRED)), -items[key]

    return min(items, key=surest, default=None)


def item_weights(lists: Playlists, *, popularity: float) -> NDArray[np.float32]:
    """(items,): the logarithm of each item's occurrences, to `popularity`; one that no list holds still counts a little."""
    weights: NDArray[np.float32] = (np.log1p(lists.data.counts() + 0.5) ** popularity).astype(np.float32)
    return weights


def grouped(arrays: Mapping[str, NDArray[Any]], *, values: int) -> sp.csr_matrix:
    """The (items, values) matrix of the arrays that `stored` gave, and that `weights` has the items of."""
    ones = np.ones(len(arrays["indices"]), dtype=np.float32)
    return stored_csr(ones, arrays["indices"], arrays["indptr"], shape=(len(arrays["weights"]), values))


def stored(matrix: sp.csr_matrix) -> dict[str, NDArray[Any]]:
    """Where a matrix of ones has them, as arrays of a part."""
    return {"indices": matrix.indices.astype(np.int32), "indptr": matrix.indptr.astype(np.int64)}


def _values(attributes: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """(attribute, text) pairs, each once."""
    pairs = [
        (key, text) for key, value in attributes.items() for text in (value if isinstance(value, list) else [value])
    ]
    texts = {(key, text) for key, text in pairs if isinstance(text, str) and 0 < len(text) <= MAX_CHARACTERS}
    return tuple(sorted(texts))
