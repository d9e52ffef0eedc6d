"""What every candidate source offers, whatever it is made of."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.history import History, Rows
from recsys.encoders.base import TextEncoder, Vectors
from recsys.indexes.build import Kind
from recsys.indexes.index import Index, empty_result, top_k, write_row
from recsys.retrieval.explanation import Explanation, leave_one_out
from recsys.retrieval.truncation import Truncation, Truncations

if TYPE_CHECKING:
    from recsys.retrieval.dense import DenseSource

Scores = NDArray[np.float32]
Allowed = NDArray[np.bool_]
"""One flag per catalogue row: may it be returned? Deleted, seen and excluded items are False."""


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One question: what comes after `history`, among the rows that `allowed` marks.

    A `vector` (dim,) stands for the history in the source that it was made for: that of the `text` that is searched for.
    `user_id` and `texts`, those of the items of the history, are there for sources that use them. The last `open_events` events
    are of a session that goes on.
    """

    history: History
    allowed: Allowed
    vector: NDArray[np.float32] | None = None
    user_id: str | None = None
    texts: tuple[str, ...] | None = None
    open_events: int = 0
    text: str | None = None

    def without_text(self) -> "Query":
        """The question about the history alone."""
        return replace(self, vector=None, text=None)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The best rows of each query, best first: `rows` (queries, k) with -1 where fewer exist, `scores` alike with -inf there."""

    rows: NDArray[np.int64]
    scores: Scores


class Source(Protocol):
    """Finds and scores items for histories. Immutable after it was fitted, so that any number of threads may ask it."""

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """The `k` best allowed rows of each query. A source that has no score (say, on an empty history) returns none."""
        ...

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """Scores of the given `rows` (queries, candidates); NaN where the source has no score, also at row -1.

        Where `search` returns a row, `score` gives it the same score.
        """
        ...

    def explain(self, query: Query, rows: Rows) -> list[Explanation]:
        """For each of `rows`, which items of the history speak for it most."""
        ...


class StoredSource(ABC):
    """A source that is a part of a bundle. Whatever only some sources can do has a default here that does nothing.

    `kind` is the key of its row in `recsys.retrieval.registry`, whose capabilities say what it can do.
    """

    kind: str

    @abstractmethod
    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """As `Source.search`."""

    @abstractmethod
    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """As `Source.score`."""

    @abstractmethod
    def part(self, name: str) -> Part:
        """The source as it is stored."""

    def explain(self, query: Query, rows: Rows) -> list[Explanation]:
        """What each item of the history adds to the scores of `rows`: how far they fall when it is left out."""
        return leave_one_out(self, query, rows)

    def with_query_time(self, **settings: float) -> Self:
        """The same fit with histories weighted otherwise."""
        assert not settings, f"{self.kind} has no settings of query time"
        return self

    @property
    def text_encoder(self) -> str:
        """Name of the text encoder whose vectors new items need; empty where none is read."""
        return ""

    @property
    def item_text_vectors(self) -> Vectors | None:
        """(items, dim) of unit length: the items' texts in the space in which near-duplicates are looked for."""
        return None

    @property
    def trained(self) -> NDArray[np.bool_] | None:
        """(items,): the items of whose events it has learned; None where it has learned of none by itself."""
        return None

    def with_items(self, rows: Rows, text: Vectors) -> Self:
        """The source with text vectors (rows, text_dim) for new or changed items."""
        return self

    def as_new(self, rows: Rows, text: Vectors) -> Self:
        """The source that scores the items at `rows`, with text vectors `text` (rows, text_dim), as if they had come after the
        training; histories count as before, and only `score` may be asked. It is itself where it scores items by texts alone.
        """
        return self

    def with_texts(self, rows: Rows, texts: Sequence[str]) -> Self:
        """The source with texts (rows,) of new or changed items; an empty one is that of an item without a text."""
        return self

    def with_exits(self, rows: Rows, exits: Mapping[int, Vectors]) -> Self:
        """The same from text vectors after each exit of the text encoder; most sources take the last alone."""
        return self.with_items(rows, exits[max(exits)]) if self.text_encoder else self

    def without_texts(self, rows: Rows) -> Self:
        """The source after the items at `rows` lost their texts: it no longer knows those that it knew by nothing else."""
        return self

    def with_catalogue(
        self,
        exits: Mapping[int, Vectors],
        *,
        known: NDArray[np.bool_],
        index: Kind,
        cache_dir: Path | None,
    ) -> Self:
        """The source over text vectors of the whole catalogue, where it knows no item before it is given them."""
        return self

    def group_of(self, rows: Rows) -> NDArray[np.int64]:
        """(rows,): the number of each item's group, such as its artist; -1 where the source knows none."""
        return np.full(len(rows), -1, dtype=np.int64)

    @property
    def truncations(self) -> Truncations | None:
        """The truncations of the text encoder at which it answers; None where there is nothing to choose."""
        return None

    def at(self, truncation: Truncation | None) -> "StoredSource":
        """The source that answers at `truncation`, or at the whole encoder."""
        return self

    def query_vectors(
        self,
        encoder: TextEncoder,
        texts: Sequence[str],
        domains: Sequence[str | None],
    ) -> Vectors:
        """Vectors (texts, dim) for `Query.vector`, of a source whose capabilities say that it answers texts."""
        raise AssertionError(f"{self.kind} does not answer texts")

    def indexes(self) -> "Mapping[Truncation | None, DenseSource]":
        """What is searched through an index, by truncation (None: the only one)."""
        return {}

    def with_index(self, truncation: Truncation | None, index: Index) -> Self:
        """The same over another index of the same vectors."""
        return self

    def exact(self) -> Self:
        """The same, searched without an approximate index."""
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a type of part can do, as plain data that service, training, batch and evaluation ask.

    `cold_score` is the score that it gives to an item it cannot know: NaN is no score; None says that it knows new items by
    their text. With `only_repeats` it scores items of the history alone, and is of no use where these are no answers. `items`,
    `order` and `names` say what of a list it uses. `needs` names the parts of a list that it is built on.
    """

    answers: Literal["items", "lists"] = "items"
    baseline: bool = False
    default_blend: bool = False
    cold_score: float | None = nan
    text_only: bool = False
    only_repeats: bool = False
    answers_texts: bool = False
    truncates: bool = False
    explains: Literal["terms", "nearest", "itself", "leave-one-out", "nothing"] = "leave-one-out"
    items: bool = True
    order: bool = False
    names: bool = False
    encodes_lists: bool = False
    decodes_lists: bool = False
    groups_items: bool = False
    needs: tuple[str, ...] = ()


def top(scores: Scores, *, k: int) -> Candidates:
    """The `k` best columns of dense `scores` (queries, items), best first; -inf and NaN are never returned.

    Equal scores keep catalogue order.
    """
    queries, items = scores.shape
    result, every = empty_result(queries, k=k), np.arange(items)
    for query in range(queries):
        write_row(result, query, *top_k(every, scores[query].astype(np.float32, copy=False), k=k))
    return Candidates(*result)


__all__ = [
    "Allowed",
    "Candidates",
    "Capabilities",
    "Explanation",
    "Query",
    "Rows",
    "Scores",
    "Source",
    "StoredSource",
    "top",
]
