"""Items of other processes whose texts do not count in answers yet."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

import numpy as np

from recsys.encoders.base import Vectors
from recsys.store.records import Item

TEXTS_PER_STEP = 16
"""Texts encoded between two looks at the store."""


class TextBacklog:
    """Items to encode, and vectors that wait: sources take them in together, because all vectors are copied each time, but at
    least every `lag` seconds. Callers take turns.
    """

    def __init__(self, *, lag: float) -> None:
        self._lag, self._last_taken = lag, time.monotonic()
        self._items = dict[str, Item]()
        self._encoded = list[tuple[Sequence[Item], Mapping[int, Vectors]]]()

    def __len__(self) -> int:
        return len(self._items) + sum(len(items) for items, _ in self._encoded)

    @property
    def has_items(self) -> bool:
        """Are there items to encode?"""
        return bool(self._items)

    @property
    def is_due(self) -> bool:
        """Is it time to take in what was encoded?"""
        return bool(self._encoded) and (not self._items or time.monotonic() > self._last_taken + self._lag)

    def has(self, item: Item) -> bool:
        """Is the text of `item`, as it is, still to be encoded?"""
        return self._items.get(item.item_id) == item

    def add(self, items: Iterable[Item]) -> None:
        self._items |= {item.item_id: item for item in items}

    def first(self) -> list[Item]:
        """The items to encode next."""
        return list(islice(self._items.values(), TEXTS_PER_STEP))

    def encoded(self, items: Sequence[Item], exits: Mapping[int, Vectors]) -> None:
        """Notes vectors (items, dim) of `items` by exit of the encoder; without any exit they are dropped."""
        for item in items:
            if self._items.get(item.item_id) is item:  # else it has changed meanwhile, and comes again
                del self._items[item.item_id]
        if exits:
            self._encoded.append((items, exits))

    def take(self, is_current: Callable[[Item], bool]) -> tuple[list[Item], dict[int, Vectors]]:
        """Removes what was encoded: the items that are current, with their vectors by exit; no exit where none is."""
        flagged = [(items, exits, np.array([is_current(item) for item in items])) for items, exits in self._encoded]
        self._encoded, self._last_taken = [], time.monotonic()
        items = [item for items, _, current in flagged for item, flag in zip(items, current, strict=True) if flag]
        layers = flagged[0][1] if items else ()
        return items, {
            layer: np.concatenate([exits[layer][current] for _, exits, current in flagged]) for layer in layers
        }
