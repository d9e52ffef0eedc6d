"""What every list encoder and every list decoder offers, whatever it is made of."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.history import NO_ROWS, Rows
from recsys.errors import InvalidRequest
from recsys.retrieval.source import Scores

PREFIX = "lists/"
"""Before the names of the parts of a bundle that answer questions about lists."""

WIDTH = 4
"""Partial lists that are carried along for each alternative."""
STRENGTH = 1.0
"""What an item loses for each earlier alternative that holds it, where nothing else is asked."""

ListVectors = NDArray[np.float32]
"""(lists, dim), of unit length; a row of zeros is a list without a known item."""


class ListEncoder(ABC):
    """Turns a list of items into one vector. Immutable after it was fitted, so that any number of threads may ask it.

    `name` is what requests call it, `kind` the key of its row in the registry; `hash` says what it computes, and vectors of two
    hashes never mix. Whatever only some encoders can do has a default here that does nothing.
    """

    kind: str

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def hash(self) -> str: ...

    @property
    @abstractmethod
    def dim(self) -> int: ...

    @abstractmethod
    def encode(self, lists: Sequence[Rows]) -> ListVectors:
        """Vectors (lists, dim) of unit length; zeros where a list holds no item that is known here. Repeats count."""

    @abstractmethod
    def part(self, name: str) -> Part:
        """The encoder as it is stored."""

    @property
    def order_sensitive(self) -> bool:
        """Whether a list and its shuffle have different vectors."""
        return False

    @property
    def text_encoder(self) -> str:
        """Name of the text encoder whose vectors new items need; empty where none is read."""
        return ""

    @property
    def item_vectors(self) -> NDArray[np.float32] | None:
        """(items, dim): vectors of the items that were learned with the encoder; None for one over vectors of others."""
        return None

    def with_items(self, rows: Rows, text: NDArray[np.float32]) -> Self:
        """The encoder with text vectors (rows, text_dim) for new or changed items."""
        return self

    def without_texts(self, rows: Rows) -> Self:
        """The encoder after the items at `rows` lost their texts: it no longer knows those that it knew by nothing else."""
        return self

    def changed_rows(self, before: Self) -> Rows:
        """The rows whose vectors `before`, an earlier state of the same encoder, does not have, or has otherwise."""
        return NO_ROWS

    def content_key(self, rows: Rows) -> str | None:
        """Changes when what the encoder reads of a list does; None where vectors of lists are not worth keeping."""
        return None

    @property
    def decoder(self) -> "ListDecoder | None":
        """The encoder as a model that generates what comes after a list, where it is one."""
        return None


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
    """One continuation, in order, its log-probability, and its `total_score` with the prior of its items, without penalties."""

    rows: Rows
    log_probability: float
    total_score: float


class ListDecoder(Protocol):
    """A model that generates what comes after a list; `known` marks the items that it can generate."""

    @property
    def known(self) -> NDArray[np.bool_]: ...

    def next_scores(self, lists: Sequence[Rows], rows: NDArray[np.int64]) -> Scores:
        """Log-probability that each of `rows` (lists, candidates) comes next; NaN where the model has none, also
        at row -1 and for a list without a known item."""
        ...

    def decode(
        self,
        items: Rows,
        *,
        candidates: Rows,
        prior: Scores | None,
        groups: NDArray[np.int64] | None,
        config: DecodingConfig,
    ) -> list[DecodedList]:
        """`config.alternatives` different continuations of `items`, best first, of distinct rows `candidates` alone.

        `prior` (candidates,) is added to the log-probability of each candidate at every step: its score in retrieval.
        `groups` (candidates,) numbers what candidates share, -1 for nothing. Fewer items come back where candidates run out.
        """
        ...
