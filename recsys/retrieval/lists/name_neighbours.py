"""Lists by their names: what the stored lists with the most similar names hold.

Names are alike by their letters (character n-grams), by their words, rare ones saying more, and by what a text encoder reads in
them, where the bundle stands on one: `road trip` and `driving` share no letter. Beside their names, lists are found by what they
hold: items whose texts have the words of the name (`told`), and contents as the name makes one guess (`guess`).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.playlists import Playlists
from recsys.errors import check_ranges
from recsys.retrieval.lists.name_regression import NameToContent, features, fit_name_to_content
from recsys.retrieval.lists.neighbours import stored_lists
from recsys.retrieval.lists.sparse import ListQuery, SparseSource, nearest
from recsys.retrieval.lists.tfidf import Tfidf, item_text_tfidf, name_tfidf
from recsys.retrieval.lists.words import ngrams
from recsys.retrieval.neighbours import interactions
from recsys.retrieval.source import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class NameNeighboursConfig:
    """`lists` names count, each with its similarity to `power`: the mean of up to three cosines, of which those of n-grams and
    of texts count from `floor` on, for any two names share some by chance. To that mean come `told` times the cosine of the name
    with the texts of a list's items, and `guess` times that of the contents guessed from it, where the names are alike at all.
    `text_encoder` is empty where none reads names.
    """

    lists: int = 200
    power: float = 1.0
    floor: float = 0.2
    told: float = 0.8
    guess: float = 0.15
    text_encoder: str = ""

    def __post_init__(self) -> None:
        check_ranges(self, lists=(1, inf), power=(0, inf), floor=(0, 0.99), told=(0, inf), guess=(0, inf))


class NameNeighbours(SparseSource):
    """`held` (lists, items) with the names' n-gram vectors `names` (lists, dim), `words`, and `read` (lists, text_dim), or None;
    zeros for a list without a name. `told` are the words of the items, `shares` (lists,) says how much a list counts: those of
    the same items count as one."""

    def __init__(
        self,
        held: sp.csr_matrix,
        *,
        names: NDArray[np.float32],
        words: Tfidf,
        told: Tfidf,
        guess: NameToContent,
        read: NDArray[np.float32] | None,
        shares: NDArray[np.float32],
        config: NameNeighboursConfig,
    ) -> None:
        self.held, self.names, self.words, self.told, self.guess = held, names, words, told, guess
        self.read, self.shares, self.config = read, shares, config
        self.known = np.asarray(held.sum(axis=0)).ravel() > 0

    @property
    def text_encoder(self) -> str:
        """Name of the encoder that reads names; empty for none."""
        return self.config.text_encoder

    def sparse_scores(self, queries: Sequence[Query]) -> sp.csr_matrix:
        """The share of the lists with like names that hold each item; none for a query without a name."""
        asked = [query if isinstance(query, ListQuery) else None for query in queries]
        near = nearest(self._similarity(asked), k=self.config.lists, power=self.config.power)
        return self.shared(near)

    def shared(self, near: sp.csr_matrix) -> sp.csr_matrix:
        """(queries, items): the share of the lists `near` (queries, lists), as much as each counts, that hold each item."""
        near = sp.csr_matrix(near @ sp.diags_array(self.shares))
        totals = np.maximum(np.asarray(near.sum(axis=1)).ravel(), 1e-9)
        return sp.csr_matrix(sp.diags_array((1 / totals).astype(np.float32)) @ near @ self.held)

    def _similarity(self, asked: Sequence[ListQuery | None]) -> NDArray[np.float32]:
        """(queries, lists), not below 0."""
        names = [query.name if query else None for query in asked]
        letters, words = ngrams(names), self.words.unit(names)
        total = self._above(letters @ self.names.T) + self.words.cosines(words)
        count = np.full((len(asked), 1), 2.0, dtype=np.float32)
        vectors = None
        if self.read is not None:
            vectors = np.zeros((len(asked), self.read.shape[1]), dtype=np.float32)
            for i, query in enumerate(asked):
                if query is not None and query.read is not None:
                    vectors[i] = query.read
                    count[i] += 1
            total += self._above(vectors @ self.read.T)
        contents = np.maximum(self.guess.cosines(features(letters, words, vectors)), 0)
        told = self.told.cosines(self.told.unit(names))
        likeness = total / count + self.config.told * told + self.config.guess * np.where(total > 0, contents, 0)
        return likeness.astype(np.float32, copy=False)

    def _above(self, cosine: NDArray[np.float32]) -> NDArray[np.float32]:
        floor = self.config.floor
        return np.maximum(cosine - floor, 0) / (1 - floor)

    def part(self, name: str) -> Part:
        arrays = {
            "indices": self.held.indices.astype(np.int32),
            "indptr": self.held.indptr.astype(np.int64),
            "weights": self.known.astype(np.float32),
            "names": self.names,
            "contents": self.guess.contents,
            "guess": self.guess.weights,
            "shares": self.shares,
            **self.words.arrays("words"),
            **self.told.arrays("told"),
        }
        if self.read is not None:
            arrays["read"] = self.read
        return Part(name=name, kind="list-names", config=asdict(self.config), arrays=arrays)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a = part.arrays
        return cls(
            stored_lists(part),
            names=a["names"],
            words=Tfidf.from_arrays(a, "words"),
            told=Tfidf.from_arrays(a, "told"),
            guess=NameToContent(a["contents"], a["guess"]),
            read=a.get("read"),
            shares=a["shares"],
            config=NameNeighboursConfig(**part.config),
        )


def fit_name_neighbours(lists: Playlists, config: NameNeighboursConfig) -> NameNeighbours:
    """All lists as possible neighbours; a text encoder reads names where `lists.read` holds what it has read."""
    held, names, words, shares = interactions(lists.data), ngrams(lists.names), name_tfidf(lists.names), lists.shares()
    guess = fit_name_to_content(held, names=names, words=words.vectors, read=lists.read, shares=shares)
    told = item_text_tfidf(held, lists.data.texts)
    return NameNeighbours(
        held, names=names, words=words, told=told, guess=guess, read=lists.read, shares=shares, config=config
    )
