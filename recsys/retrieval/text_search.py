"""Search by words and meaning: what the words of items, the vectors of their texts and a history say, in one weighted sum.

Scores are summed as they are, for each says something by itself: a title with a cosine of 1 is the one that was asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import inf
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsys.data.continuation_cases import Order
from recsys.data.history import NO_ROWS, Rows
from recsys.errors import BundleError, InvalidRequest, check_ranges
from recsys.indexes.index import empty_result, top_k, write_row
from recsys.retrieval.explanation import Explanation
from recsys.retrieval.fusion import Attribution, standardised
from recsys.retrieval.serving import ServingModel
from recsys.retrieval.source import Candidates, Query
from recsys.retrieval.truncation import Truncation
from recsys.retrieval.word_index import WordIndex

SEARCH = "search"
"""What answers texts by words and meaning."""
LEXICAL = "lexical"
"""What answers texts by words alone."""
MAX_TASTE = 3.0
"""Standard deviations by which an item stands out after a history, at most: the text decides what is found."""
DEPTH = 100
"""Candidates by words and by meaning each, at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchWeights:
    """What the cosine with a title counts, the share of a query's words that an item has, the cosine of meanings, and the
    standardised score of an item after a history."""

    title: float = 0.55
    words: float = 0.28
    meaning: float = 0.17
    taste: float = 0.05

    def __post_init__(self) -> None:
        check_ranges(self, title=(0, inf), words=(0, inf), meaning=(0, inf), taste=(0, inf))

    @classmethod
    def from_manifest(cls, about: Mapping[str, Any]) -> Self:
        """Those of a bundle, or the default ones where it has none.

        Raises:
            BundleError: they are no weights.
        """
        stored = about.get("search_weights", {})
        try:
            return cls(**{field.name: float(stored[field.name]) for field in fields(cls) if field.name in stored})
        except (TypeError, ValueError, InvalidRequest) as error:
            raise BundleError(f"the weights of the search cannot be used ({error}); train again") from error


@dataclass(frozen=True, slots=True, eq=False)
class TextSearch:
    """Answers queries that have a `text` over the items of `words`; a query's `vector` is that of the part `meaning` of `model`
    (None: words alone), and after a history the default part of `model` counts."""

    words: WordIndex
    model: ServingModel
    meaning: str | None
    weights: SearchWeights

    @property
    def text_encoders(self) -> frozenset[str]:
        return self.model.text_encoders

    def search(
        self,
        queries: Sequence[Query],
        *,
        k: int,
        name: str,  # noqa: ARG002  (by words alone a query has no vector)
        truncation: Truncation | None = None,
        order: Order | None = None,  # noqa: ARG002  (a text has none)
    ) -> tuple[Candidates, list[list[Attribution]]]:
        """The `k` best rows of each query, and for each row the sources that it comes from."""
        result, attributions = empty_result(len(queries), k=k), list[list[Attribution]]()
        for i, query in enumerate(queries):
            rows, contributions = self._contributions(query, depth=max(DEPTH, k), truncation=truncation)
            best, scores = top_k(np.arange(len(rows)), np.nansum(list(contributions.values()), axis=0), k=k)
            write_row(result, i, rows[best], scores)
            attributions.append(_attributions({name: of[best] for name, of in contributions.items()}, len(best)))
        return Candidates(*result), attributions

    def popular(self, query: Query, *, k: int) -> Rows:  # noqa: ARG002
        """None: what has nothing of the text is no answer to it."""
        return NO_ROWS

    def explain(
        self,
        query: Query,  # noqa: ARG002
        rows: Rows,
        *,
        name: str,  # noqa: ARG002
        truncation: Truncation | None = None,  # noqa: ARG002
    ) -> list[Explanation]:
        """Nothing: the text speaks for the items."""
        return [() for _ in rows]

    def features(self, query: Query, rows: Rows) -> NDArray[np.float32]:
        """(rows, 3): cosine with the title, share of words, and cosine of meaning of `rows`; 0 where there is none."""
        text, source = query.text or "", self.model.source(self.meaning) if self.meaning else None
        meaning = np.zeros(len(rows)) if source is None else np.nan_to_num(source.score([query], rows[None])[0])
        by_words = self.words.title_cosines(text)[rows], self.words.coverage(text)[rows]
        return np.stack([*by_words, meaning], axis=1, dtype=np.float32)

    def _contributions(
        self, query: Query, *, depth: int, truncation: Truncation | None
    ) -> tuple[Rows, dict[str, NDArray[np.float32]]]:
        """Candidate rows, ascending, and what each source adds to their scores; NaN where it says nothing."""
        by_words = self._word_scores(query)
        rows = _best_rows(by_words, depth)
        source = self.model.source(self.meaning, truncation) if self.meaning and query.vector is not None else None
        if source is not None:
            (nearest,) = source.search([query], k=depth).rows
            rows = np.union1d(rows, nearest[nearest >= 0])
        inside = rows < len(by_words)
        lexical = np.full(len(rows), np.nan, dtype=np.float32)
        lexical[inside] = by_words[rows[inside]]
        contributions = {LEXICAL: np.where(lexical > 0, lexical, np.nan)}
        if source is not None:
            assert self.meaning is not None
            contributions[self.meaning] = self.weights.meaning * source.score([query], rows[None])[0]
        if len(query.history):
            default, taste = self.model.default, self._taste(query, rows)  # which may answer texts, too
            contributions[default] = _sum(contributions[default], taste) if default in contributions else taste
        return rows, contributions

    def _word_scores(self, query: Query) -> NDArray[np.float32]:
        """(rows,): what words add to the score of each allowed row."""
        text = query.text or ""
        scores = self.weights.title * self.words.title_cosines(text) + self.weights.words * self.words.coverage(text)
        allowed = query.allowed[: len(scores)]
        scores = scores[: len(allowed)]
        scores[~allowed] = 0
        return scores

    def _taste(self, query: Query, rows: Rows) -> NDArray[np.float32]:
        """What the history of the query adds to the scores of `rows`."""
        scores = self.model.score([query.without_text()], rows[None], name=self.model.default)
        bounded = np.clip(standardised(scores), -MAX_TASTE, MAX_TASTE)
        return self.weights.taste * np.where(np.isnan(scores), np.nan, bounded)[0]


def _best_rows(scores: NDArray[np.float32], k: int) -> Rows:
    """The up to `k` rows with the largest scores above 0, ascending."""
    rows = np.flatnonzero(scores > 0)
    return np.sort(top_k(rows, scores[rows], k=k)[0])


def _sum(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sum of what is said; NaN where neither says anything."""
    return np.where(np.isnan(a), b, a + np.nan_to_num(b))


def _attributions(contributions: Mapping[str, NDArray[np.float32]], count: int) -> list[Attribution]:
    """For each of `count` items the source that adds most, and all that say something of it."""
    names, values = list(contributions), np.array(list(contributions.values()))
    leading = np.where(np.isnan(values), -np.inf, values).argmax(axis=0) if count else ()
    of_items = ~np.isnan(values).T
    return [
        (names[best], tuple(name for name, says in zip(names, of_item, strict=True) if says))
        for best, of_item in zip(leading, of_items, strict=True)
    ]
