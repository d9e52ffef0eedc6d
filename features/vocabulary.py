"""Maps item ids to rows. A vocabulary grows only at its end: the row of an item never changes."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from features.errors import SchemaError


@dataclass(frozen=True)
class Vocabulary:
    """Row r is `items[r]`; ids are distinct strings.

    Raises:
        SchemaError: an id occurs twice.
    """

    items: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.items):
            twice = next(item for row, item in enumerate(self.items) if self.rows[item] != row)
            raise SchemaError(f"item {twice!r} occurs twice in the vocabulary: give each id once")

    @cached_property
    def rows(self) -> dict[str, int]:
        """The row of each item; not to be changed."""
        return {item: row for row, item in enumerate(self.items)}

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the ids in their order."""
        return hashlib.sha256(json.dumps(self.items, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()

    def grown(self, items: Iterable[str]) -> "Vocabulary":
        """This vocabulary with the new ones of `items` at its end, in the order of their first appearance."""
        return Vocabulary((*self.items, *(item for item in dict.fromkeys(items) if item not in self.rows)))

    def continues(self, older: "Vocabulary") -> bool:
        """Whether every row of `older` means the same item here."""
        return self.items[: len(older)] == older.items

    def encode(self, items: pl.Series) -> pl.Series:
        """The row of each id (Int64); null for an unknown id.

        Raises:
            SchemaError: `items` holds no strings.
        """
        if items.dtype != pl.String():
            raise SchemaError(f"ids are {items.dtype}; they must be {pl.String()}, so that 007 stays 007")
        if not self.items:
            return pl.Series(items.name, [None] * len(items), dtype=pl.Int64())
        return items.replace_strict(list(self.items), list(range(len(self))), default=None, return_dtype=pl.Int64())

    def __len__(self) -> int:
        return len(self.items)
