"""Which items share words with a text: by their titles, typing errors forgiven, and by all that is written of them.

A title is its words and all its runs of 3 and 4 characters, blanks between words among them, so that a misspelt word still shares
most of its terms and neighbouring words go together: TF-IDF, compared by cosine. Of the whole text only words count, by the share
of the query's words, weighted by how rare they are, that an item has.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.feature_extraction.text import HashingVectorizer

from features.text import title_of, values_of
from recsys.data.history import Rows
from recsys.retrieval.lexical import MAX_CHARACTERS, MAX_ITEM_SHARE, MIN_COMMON_ITEMS, WIDTH
from recsys.retrieval.lists.words import folded
from recsys.retrieval.postings import Postings

NGRAM_SIZES = (3, 4)


@dataclass(frozen=True, slots=True, eq=False)
class WordIndex:
    """`titles` and `words` of all rows; `title_idf` and `word_idf` (WIDTH,) weigh their terms, as of the last time that all were
    laid out; `title_scale` (rows,) is one over the length of a title's vector, `hashes` (rows,) tell texts apart. Immutable."""

    titles: Postings
    words: Postings
    title_idf: NDArray[np.float32]
    word_idf: NDArray[np.float32]
    title_scale: NDArray[np.float32]
    hashes: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """The index of the items' `texts`; an empty one is that of an item without a text."""
        return cls._weighed(Postings.of(_title_bags(texts)), Postings.of(_word_bags(texts)), _hashes(texts))

    @classmethod
    def _weighed(cls, titles: Postings, words: Postings, hashes: NDArray[np.int64]) -> Self:
        title_idf, word_idf = _idf(titles.by_term), _idf(words.by_term)
        return cls(titles, words, title_idf, word_idf, _scale(titles.squared_lengths(title_idf)), hashes)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.hashes)

    def with_texts(self, rows: Rows, texts: Sequence[str]) -> Self:
        """The index with the `texts` of new or changed items at distinct `rows`. All terms are weighed anew once many changed."""
        hashes = np.zeros(max(len(self), int(rows.max(initial=-1)) + 1), dtype=np.int64)
        hashes[: len(self)] = self.hashes
        changed = np.flatnonzero(hashes[rows] != _hashes(texts))
        if not len(changed):
            return self
        rows, texts = rows[changed], [texts[i] for i in changed.tolist()]
        hashes[rows] = _hashes(texts)
        bags = _title_bags(texts)
        titles, words = self.titles.with_rows(rows, bags), self.words.with_rows(rows, _word_bags(texts))
        if titles.is_laid_out:
            return type(self)._weighed(titles, words, hashes)
        scale = np.pad(self.title_scale, (0, len(hashes) - len(self)))
        scale[rows] = _scale(bags.power(2) @ self.title_idf**2)
        return type(self)(titles, words, self.title_idf, self.word_idf, scale, hashes)

    def title_cosines(self, query: str) -> NDArray[np.float32]:
        """(rows,): cosine between `query` and each title, from 0 to 1."""
        bag = _weighted(_bags([query], _title_terms), self.title_idf)
        length = float(np.sqrt((bag.data**2).sum()))
        bag.data *= self.title_idf[bag.indices] / max(length, 1e-9)
        return self._full(self.titles.products(bag)) * self.title_scale

    def coverage(self, query: str) -> NDArray[np.float32]:
        """(rows,): the share of the words of `query`, weighted by how rare they are, that each item has, from 0 to 1."""
        bag = _weighted(_bags([query], _words), self.word_idf)
        bag.data /= max(float(bag.data.sum()), 1e-9)
        return self._full(self.words.products(bag))

    def _full(self, products: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.pad(products, (0, len(self) - len(products)))


def _title_terms(title: str) -> list[str]:
    name = folded(title[: 2 * MAX_CHARACTERS])[:MAX_CHARACTERS]  # folding drops more than it adds
    marked = f" {name} "
    return name.split() + [marked[i : i + n] for n in NGRAM_SIZES for i in range(len(marked) - n + 1)]


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(folded(text).split()))


def _title_bags(texts: Sequence[str]) -> sp.csr_matrix:
    return _bags([title_of(text) for text in texts], _title_terms)


def _word_bags(texts: Sequence[str]) -> sp.csr_matrix:
    return _bags([values_of(text) for text in texts], _words)


def _bags(texts: Sequence[str], terms: Callable[[str], list[str]]) -> sp.csr_matrix:
    """(texts, WIDTH): the root of how often each of the `terms` occurs."""
    if not texts:
        return sp.csr_matrix((0, WIDTH), dtype=np.float32)
    vectorizer = HashingVectorizer(analyzer=terms, n_features=WIDTH, alternate_sign=False, norm=None, dtype=np.float32)
    return sp.csr_matrix(vectorizer.transform(texts)).sqrt()


def _weighted(bags: sp.csr_matrix, weights: NDArray[np.float32]) -> sp.csr_matrix:
    """`bags` (texts, terms) times `weights` (terms,), without terms that weigh nothing."""
    weighted = sp.csr_matrix(bags.multiply(weights[None])).astype(np.float32)
    weighted.eliminate_zeros()
    return weighted


def _idf(postings: sp.csr_matrix) -> NDArray[np.float32]:
    """(terms,): how much each term of `postings` (terms, rows) weighs; one of very many rows nothing."""
    items, size = np.diff(postings.indptr), postings.shape[1]
    idf = np.log((1 + size) / np.maximum(items, 1)).astype(np.float32)
    return np.where(items > max(MIN_COMMON_ITEMS, MAX_ITEM_SHARE * size), np.float32(0), idf)


def _scale(squared_lengths: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(squared_lengths > 0, 1 / np.sqrt(np.maximum(squared_lengths, 1e-9)), 0).astype(np.float32)


def _hashes(texts: Sequence[str]) -> NDArray[np.int64]:
    return np.array([hash(text) for text in texts], dtype=np.int64)
