"""What every list encoder and every decoder offers, whatever it is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.history import Rows
from recsys.errors import InvalidRequest
from recsys.retrieval.source import Scores

PREFIX = "lists/"
"""Before the names of all parts of a bundle that questions about lists are answered with."""

WIDTH = 4
"""Partial lists that are carried along for each alternative."""
STRENGTH = 1.0
"""What an item loses for each earlier alternative that holds it, where nothing else is asked."""

ListVectors = NDArray[np.float32]
"""(lists, dim), of unit length; a row of zeros is a list without a known item."""


class ListEncoder(Protocol):
    """Turns a list of items into one vector. Immutable after it was fitted, so that any number of threads may ask it.

    `name` is what requests call it; `hash` says what it computes, and vectors of two hashes never mix. `order_sensitive`
    is False where a list and its shuffle are the same.
    """

    @property
    def name(self) -> str: ...

    @property
    def hash(self) -> str: ...

    @property
    def dim(self) -> int: ...

    @property
    def order_sensitive(self) -> bool: ...

    def encode(self, lists: Sequence[Rows]) -> ListVectors:
        """Vectors (lists, dim) of unit length; zeros where a list holds no item that is known here. Repeats count."""
        ...

    def part(self, name: str) -> Part: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingConfig:
    """What is decoded: `alternatives` continuations of `length` items, each the best of `width` partial lists.

    `strength` is taken off an item's log-probability for each earlier alternative that holds it, `same_group` for each
    earlier item of the same continuation that shares its group (an artist, a brand), of which it holds `most_of_group` at
    most. `repeats`: may an item come twice?
    """

    length: int = 10
    alternatives: int = 1
    width: int = WIDTH
    strength: float = STRENGTH
    same_group: float = 0.0
    most_of_group: int | None = None
    repeats: bool = False

    def __post_init__(self) -> None:
        for name in ("length", "alternatives", "width", "most_of_group"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise InvalidRequest(f"{name}={value}: must be at least 1")
        for name in ("strength", "same_group"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InvalidRequest(f"{name}={getattr(self, name)}: a penalty is a number from 0 on")


@dataclass(frozen=True, slots=True, eq=False)
class DecodedList:
    """One continuation, in order, its log-probability, and with the prior of its items what it is `total_score`, both without any
    penalty."""

    rows: Rows
    log_probability: float
    total_score: float


class ListDecoder(Protocol):
    """A model that generates what comes after a list."""

    def next_scores(self, lists: Sequence[Rows], rows: NDArray[np.int64]) -> Scores:
        """Log-probability that each of `rows` (lists, candidates) comes next; NaN where the model has no opinion, also
        at row -1 and for a list without a known item."""
        ...

    def decode(
        self,
        past: Rows,
        *,
        among: Rows,
        prior: Scores | None,
        groups: NDArray[np.int64] | None,
        wanted: DecodingConfig,
    ) -> list[DecodedList]:
        """`wanted.alternatives` different continuations of `past`, best first, of rows `among` alone, which are distinct.

        `prior` (among,) is added to the log-probability of each candidate at every step: what retrieval says of it.
        `groups` (among,) numbers what candidates share, -1 for nothing. Fewer items come back where candidates run out.
        """
        ...
