"""Items whose texts share words, or pieces of words, with those of the history: sparse TF-IDF vectors, compared by cosine.

Titles name brands, models and sizes that a dense text vector blurs. Nothing but the weights of terms is learned, so a new item
counts at once. Terms are words, pairs of neighbouring words and, as in fastText (arXiv:1607.04606), 3 to 5 characters of a word
with its ends marked; a hash gives the column of each, so that no vocabulary is stored and terms may come later.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from math import inf, log
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.feature_extraction.text import HashingVectorizer

from recsys.bundle import Part
from recsys.data.history import History, Rows
from recsys.errors import check_ranges
from recsys.indexes.index import empty_result, top_k, write_row
from recsys.retrieval.explanation import Explanation, strongest
from recsys.retrieval.inverted_index import InvertedIndex
from recsys.retrieval.lists.words import folded
from recsys.retrieval.search_space import DECAY, Catalogue, SearchSpace
from recsys.retrieval.source import Candidates, Query, Scores, StoredSource
from recsys.retrieval.stored_arrays import check_shapes, stored_csr
from recsys.retrieval.tfidf import inverse_document_frequency, unit_rows, unit_tfidf

WIDTH = 2**18
"""Columns that terms are hashed to."""
MAX_CHARACTERS = 200
"""Characters of a text that count, the first ones: there the title stands, and what follows makes similar items less similar."""
NGRAM_SIZES = (3, 4, 5)
MIN_COMMON_ITEMS, MAX_ITEM_SHARE = 1000, 0.1
"""A term of more items than both, this number and this share of the catalogue, weighs nothing: it costs time and tells little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LexicalConfig:
    """The last `window` items of a history count, each older one `decay` times as much."""

    decay: float = 0.7
    window: int = 20

    def __post_init__(self) -> None:
        check_ranges(self, decay=(0, 1), window=(1, inf))


def search_space(_: Catalogue) -> SearchSpace:
    """The settings that are tried."""
    return SearchSpace(LexicalConfig(), (DECAY,))


class LexicalSource(StoredSource):
    """Cosine between an item's vector in `index` and the weighted mean of the history's. An item without a term has no score.

    `idf` (WIDTH,) weighs terms as of the training.
    """

    kind = "lexical"

    def __init__(self, index: InvertedIndex, *, idf: NDArray[np.float32], config: LexicalConfig) -> None:
        self.index, self.idf, self.config = index, idf, config
        self._known = index.known

    @property
    def vectors(self) -> sp.csr_matrix:
        """(items, WIDTH), of unit length."""
        return self.index.vectors

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """Rows that share a term with the history, best first."""
        result = empty_result(len(queries), k=k)
        for i, query in enumerate(queries):
            if (vector := self._history_vector(query.history)) is not None:
                scores = self.index.products(vector)[: len(query.allowed)]
                rows = np.flatnonzero((scores > 0) & query.allowed[: len(scores)])
                write_row(result, i, *top_k(rows, scores[rows], k=k))
        return Candidates(*result)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """Cosines with `rows`; NaN on items without a term, and for histories without an item that has one."""
        out = np.full(rows.shape, np.nan, dtype=np.float32)
        for i, query in enumerate(queries):
            if (vector := self._history_vector(query.history)) is not None:
                inside = self._is_known(rows[i])
                out[i, inside] = self._products(rows[i, inside], vector)
        return out

    def explain(self, query: Query, rows: Rows) -> list[Explanation]:
        """By the nearest of the items that make the vector of the history."""
        usable = query.history.rows[self._is_known(query.history.rows)][-self.config.window :]
        items, inside = np.unique(usable), self._is_known(rows)
        cosines = (self.vectors[items] @ self.vectors[np.where(inside, rows, 0)].T).toarray()
        return strongest(items, np.where(inside, cosines, 0))

    def with_query_time(self, **settings: float) -> Self:
        return type(self)(self.index, idf=self.idf, config=replace(self.config, decay=settings["decay"]))

    def with_texts(self, rows: Rows, texts: Sequence[str]) -> Self:
        vectors = unit_tfidf(term_bags(texts), self.idf)
        return type(self)(self.index.with_rows(rows, vectors), idf=self.idf, config=self.config)

    def without_texts(self, rows: Rows) -> Self:
        inside = rows[rows < len(self._known)]
        return self.with_texts(inside, [""] * len(inside)) if len(inside) else self

    def part(self, name: str) -> Part:
        arrays = {
            "data": self.vectors.data,
            "indices": self.vectors.indices.astype(np.int32),
            "indptr": self.vectors.indptr.astype(np.int64),
            "known": self._known,
            "idf": self.idf,
        }
        return Part(name=name, kind=self.kind, config=asdict(self.config), arrays=arrays)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a = part.arrays
        check_shapes(a, idf=(WIDTH,))
        vectors = stored_csr(a["data"], a["indices"], a["indptr"], shape=(len(a["known"]), WIDTH))
        return cls(InvertedIndex.of(vectors), idf=a["idf"], config=LexicalConfig(**part.config))

    def _products(self, rows: Rows, vector: sp.csr_matrix) -> NDArray[np.float32]:
        """Inner products with `rows`: of many, all products at once cost less."""
        many = 4 * len(rows) > len(self._known)
        return self.index.products(vector)[rows] if many else self.index.products_of(rows, vector)

    def _history_vector(self, history: History) -> sp.csr_matrix | None:
        """(1, WIDTH), of unit length; None where no item of the history has a term."""
        usable = history.select(np.flatnonzero(self._is_known(history.rows))[-self.config.window :])
        if not len(usable):
            return None
        weights = usable.weights * self.config.decay ** np.arange(len(usable))[::-1]
        return unit_rows(sp.csr_matrix(weights.astype(np.float32)[None]) @ self.vectors[usable.rows])

    def _is_known(self, rows: Rows) -> NDArray[np.bool_]:
        """Which of `rows` have a term."""
        inside = (rows >= 0) & (rows < len(self._known))
        inside[inside] = self._known[rows[inside]]
        return inside


def fit_lexical(texts: Sequence[str], config: LexicalConfig) -> LexicalSource:
    """Weighs the terms of the catalogue's `texts`: those of very many items by nothing, those of none, which only texts to come
    can have, as the rarest."""
    bags = term_bags(texts)
    idf = inverse_document_frequency(bags)
    items = np.bincount(bags.indices, minlength=WIDTH)
    idf[items == 0] = log(1 + len(texts))
    idf[items > max(MIN_COMMON_ITEMS, MAX_ITEM_SHARE * len(texts))] = 0
    return LexicalSource(InvertedIndex.of(unit_tfidf(bags, idf)), idf=idf, config=config)


def term_bags(texts: Sequence[str]) -> sp.csr_matrix:
    """(texts, WIDTH): the root of how often each term occurs in the first `MAX_CHARACTERS` of a text."""
    bags = HashingVectorizer(
        analyzer=_terms, n_features=WIDTH, alternate_sign=False, norm=None, dtype=np.float32
    ).transform(texts)
    return sp.csr_matrix(bags).sqrt()


def _terms(text: str) -> list[str]:
    words = folded(text[: 2 * MAX_CHARACTERS])[:MAX_CHARACTERS].split()  # folding drops more than it adds
    pairs = [f"{first} {second}" for first, second in pairwise(words)]
    marked = [f" {word} " for word in words]
    ngrams = [word[i : i + n] for word in marked for n in NGRAM_SIZES for i in range(len(word) - n + 1)]
    return words + pairs + ngrams
