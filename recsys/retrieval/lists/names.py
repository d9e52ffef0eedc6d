"""Lists by their names: what the stored lists with the most similar names hold.

Names are alike by their letters (character n-grams), by their words, rare ones saying more, and by what a text encoder reads in
them, where the bundle stands on one: `road trip` and `driving` share no letter.
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
from recsys.errors import within
from recsys.retrieval.lists.neighbours import stored_lists
from recsys.retrieval.lists.sparse import ListQuery, SparseSource, nearest
from recsys.retrieval.lists.words import ngrams, word_bags
from recsys.retrieval.neighbours import interactions
from recsys.retrieval.source import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNamesConfig:
    """`lists` names count, each with its similarity to `power`: the mean of up to three cosines, of which those of n-grams and
    of texts count from `floor` on, for any two names share some by chance. `text_encoder` is empty where none reads names.
    """

    lists: int = 300
    power: float = 1.0
    floor: float = 0.2
    text_encoder: str = ""

    def __post_init__(self) -> None:
        within(self, lists=(1, inf), power=(0, inf), floor=(0, 0.99))


class ListNames(SparseSource):
    """`held` (lists, items) with the names' n-gram vectors `names` (lists, dim), `words` (lists, columns) of unit length, and
    `read` (lists, text_dim), or None; zeros for a list without a name. `rarity` (columns,) says what a word weighs, `shares`
    (lists,) how much a list counts: those of the same items count as one."""

    def __init__(
        self,
        held: sp.csr_matrix,
        *,
        names: NDArray[np.float32],
        words: sp.csr_matrix,
        rarity: NDArray[np.float32],
        read: NDArray[np.float32] | None,
        shares: NDArray[np.float32],
        config: ListNamesConfig,
    ) -> None:
        self.held, self.names, self.words, self.rarity = held, names, words, rarity
        self.read, self.shares, self.config = read, shares, config
        self.known = np.asarray(held.sum(axis=0)).ravel() > 0
        self._by_word = sp.csc_matrix(words.T)

    @property
    def text_encoder(self) -> str:
        """Name of the encoder that reads names; empty for none."""
        return self.config.text_encoder

    def opinions(self, queries: Sequence[Query]) -> sp.csr_matrix:
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
        """(queries, lists), from 0 to 1."""
        names = [query.name if query else None for query in asked]
        total = self._above(ngrams(names) @ self.names.T)
        total += (unit_bags(word_bags(names), self.rarity) @ self._by_word).toarray()
        count = np.full((len(asked), 1), 2.0, dtype=np.float32)
        read = {i: query.read for i, query in enumerate(asked) if query is not None and query.read is not None}
        if self.read is not None and read:
            total[list(read)] += self._above(np.stack(list(read.values())) @ self.read.T)
            count[list(read)] += 1
        return total / count

    def _above(self, cosine: NDArray[np.float32]) -> NDArray[np.float32]:
        floor = self.config.floor
        return np.maximum(cosine - floor, 0) / (1 - floor)

    def part(self, name: str) -> Part:
        arrays = {
            "indices": self.held.indices.astype(np.int32),
            "indptr": self.held.indptr.astype(np.int64),
            "weights": self.known.astype(np.float32),
            "names": self.names,
            "words": self.words.data,
            "words_indices": self.words.indices.astype(np.int32),
            "words_indptr": self.words.indptr.astype(np.int64),
            "rarity": self.rarity,
            "shares": self.shares,
        }
        if self.read is not None:
            arrays["read"] = self.read
        return Part(name=name, kind="list-names", config=asdict(self.config), arrays=arrays)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a = part.arrays
        words = (a["words"], a["words_indices"], a["words_indptr"])
        return cls(
            stored_lists(part),
            names=a["names"],
            words=sp.csr_matrix(words, shape=(len(a["names"]), len(a["rarity"]))),
            rarity=a["rarity"],
            read=a.get("read"),
            shares=a["shares"],
            config=ListNamesConfig(**part.config),
        )


def unit_bags(bags: sp.csr_matrix, rarity: NDArray[np.float32]) -> sp.csr_matrix:
    """The bags with each word as rare as it is, of unit length; zeros where no word is known."""
    weighed = sp.csr_matrix(bags @ sp.diags_array(rarity)).astype(np.float32)
    lengths = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags_array((1 / np.maximum(lengths, 1e-9)).astype(np.float32)) @ weighed)


def fit_list_names(lists: Playlists, config: ListNamesConfig) -> ListNames:
    """All named lists as possible neighbours; a text encoder reads names where `lists.read` holds what it has read."""
    bags = word_bags(lists.names)
    counts = np.asarray(bags.sum(axis=0)).ravel()
    rarity = np.where(counts > 0, np.log((1 + len(lists)) / np.maximum(counts, 1)), 0).astype(np.float32)
    held = interactions(lists.data)
    return ListNames(
        held,
        names=ngrams(lists.names),
        words=unit_bags(bags, rarity),
        rarity=rarity,
        read=lists.read,
        shares=lists.shares(),
        config=config,
    )
