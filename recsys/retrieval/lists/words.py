"""Names as they are compared: folded, as character n-grams, as words, and as runs of words.

Words are known by their hash: no vocabulary is kept, and any language or emoji will do.
"""

import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from features.unicode import with_few_marks, without_ignorable
from recsys.encoders.base import text_hash
from recsys.encoders.hashed import HashedNgrams

NGRAMS = HashedNgrams(dim=512)
WIDTH = 2**16
"""Columns that words are hashed to."""
APOSTROPHES = "'`\N{RIGHT SINGLE QUOTATION MARK}"
LONGEST_RUN = 6
"""Words of a run, at most."""


def folded(name: str | None) -> str:
    """The words of a name, parted by single spaces: no case, accents, apostrophes or punctuation; symbols such as emoji stay."""
    text = unicodedata.normalize("NFKD", with_few_marks(without_ignorable(name or ""))).casefold()
    letters = [c if c.isalnum() or unicodedata.category(c).startswith("S") else _replacement(c) for c in text]
    return " ".join("".join(letters).split())


def _replacement(c: str) -> str:
    return "" if c in APOSTROPHES or unicodedata.combining(c) else " "


def ngrams(names: Sequence[str | None]) -> NDArray[np.float32]:
    """Unit vectors (names, dim) of character n-grams; zeros where there is no name."""
    texts = [folded(name) for name in names]
    vectors = NGRAMS.encode_documents(texts)
    vectors[[not text for text in texts]] = 0
    return vectors


def word_bags(names: Sequence[str | None]) -> sp.csr_matrix:
    """(names, WIDTH): 1 in the column of each word."""
    words = [sorted({code(word) % WIDTH for word in folded(name).split()}) for name in names]
    columns = np.array([column for of_name in words for column in of_name], dtype=np.int32)
    starts = np.concatenate([[0], np.cumsum([len(of_name) for of_name in words])])
    return sp.csr_matrix((np.ones(len(columns), dtype=np.float32), columns, starts), shape=(len(names), WIDTH))


def runs(name: str | None) -> Iterator[tuple[str, float]]:
    """All runs of words of a name, and the share of its words that each is."""
    words = folded(name).split()
    for start in range(len(words)):
        for end in range(start + 1, min(len(words), start + LONGEST_RUN) + 1):
            yield " ".join(words[start:end]), (end - start) / len(words)


def code(text: str) -> int:
    """A number of 63 bits that stands for the text."""
    return int(text_hash(text)[:16], 16) >> 1
