"""Lists by their names: what the stored lists with the most similar names hold.

Names are compared by their letters (character n-grams), by their words (TF-IDF), and by the vectors of a text encoder, where the
bundle stands on one: `road trip` and `driving` share no letter. Beside their names, lists are found by their contents: items
whose texts have the words of the name, and contents predicted from the name.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.history import Rows
from recsys.data.playlists import Playlists
from recsys.errors import check_ranges
from recsys.retrieval.explanation import Explanation
from recsys.retrieval.lists.name_regression import COLUMNS, NameToContent, features, fit_name_to_content
from recsys.retrieval.lists.neighbours import list_members
from recsys.retrieval.lists.sparse import QueryName, SparseSource, name_of, nearest
from recsys.retrieval.lists.tfidf import Tfidf, item_text_tfidf, name_tfidf
from recsys.retrieval.lists.words import NGRAMS, ngrams
from recsys.retrieval.neighbours import interactions
from recsys.retrieval.source import Query
from recsys.retrieval.stored_arrays import check_shapes


@dataclass(frozen=True, slots=True, kw_only=True)
class NameNeighboursConfig:
    """score(name, list) = mean of the cosines of n-grams, words and text vectors + `told` * cosine with the texts of the items
    + `guess` * cosine with the contents predicted from the name; the `lists` best count, each with its score to `power`.

    Cosines of n-grams and text vectors count from `floor` on, for any two names share some by chance. Predicted contents count
    where the names have something in common. `text_encoder` is empty where names have no text vectors.
    """

    lists: int = 200
    power: float = 1.0
    floor: float = 0.2
    told: float = 0.8
    guess: float = 0.15
    text_encoder: str = ""

    def __post_init__(self) -> None:
        check_ranges(self, lists=(1, inf), power=(0, 10), floor=(0, 0.99), told=(0, 10), guess=(0, 10))


class NameNeighbours(SparseSource):
    """`members` (lists, items) with the names' n-gram vectors `names` (lists, dim), `words`, and `name_vectors`
    (lists, text_dim), or None; zeros for a list without a name. `item_texts` are TF-IDF vectors of the texts of the
    lists' items, `shares` (lists,) is the weight of each list: lists of the same items count as one."""

    kind = "list-names"

    def __init__(
        self,
        members: sp.csr_matrix,
        *,
        names: NDArray[np.float32],
        words: Tfidf,
        item_texts: Tfidf,
        contents: NameToContent,
        name_vectors: NDArray[np.float32] | None,
        shares: NDArray[np.float32],
        config: NameNeighboursConfig,
    ) -> None:
        self.members, self.names, self.words, self.item_texts = members, names, words, item_texts
        self.contents, self.name_vectors, self.shares, self.config = contents, name_vectors, shares, config
        self.known = np.asarray(members.sum(axis=0)).ravel() > 0

    @property
    def text_encoder(self) -> str:
        """Name of the encoder of the names; empty for none."""
        return self.config.text_encoder

    def explain(self, query: Query, rows: Rows) -> list[Explanation]:  # noqa: ARG002  (no item of the list counts)
        return [() for _ in rows]

    def sparse_scores(self, queries: Sequence[Query]) -> sp.csr_matrix:
        """The share of the lists with similar names that hold each item; none for a query without a name."""
        similarity = self._similarity([name_of(query) for query in queries])
        return self.item_shares(nearest(similarity, k=self.config.lists, power=self.config.power))

    def item_shares(self, lists: sp.csr_matrix) -> sp.csr_matrix:
        """(queries, items): the share of the weighted `lists` (queries, lists) that hold each item."""
        weighted = sp.csr_matrix(lists @ sp.diags_array(self.shares))
        totals = np.maximum(np.asarray(weighted.sum(axis=1)).ravel(), 1e-9)
        return sp.csr_matrix(sp.diags_array((1 / totals).astype(np.float32)) @ weighted @ self.members)

    def _similarity(self, queries: Sequence[QueryName]) -> NDArray[np.float32]:
        """(queries, lists), not below 0."""
        names = [query.name for query in queries]
        letters, words = ngrams(names), self.words.unit(names)
        total = self._above_floor(letters @ self.names.T) + self.words.cosines(words)
        count = np.full((len(queries), 1), 2.0, dtype=np.float32)
        vectors = None
        if self.name_vectors is not None:
            vectors = np.zeros((len(queries), self.name_vectors.shape[1]), dtype=np.float32)
            for i, query in enumerate(queries):
                if query.vector is not None:
                    vectors[i] = query.vector
                    count[i] += 1
            total += self._above_floor(vectors @ self.name_vectors.T)
        contents = np.maximum(self.contents.cosines(features(letters, words, vectors)), 0)
        item_texts = self.item_texts.cosines(self.item_texts.unit(names))
        weight = self.config.guess
        similarity = total / count + self.config.told * item_texts + weight * np.where(total > 0, contents, 0)
        return similarity.astype(np.float32, copy=False)

    def _above_floor(self, cosine: NDArray[np.float32]) -> NDArray[np.float32]:
        floor = self.config.floor
        return np.maximum(cosine - floor, 0) / (1 - floor)

    def part(self, name: str) -> Part:
        arrays = {
            "indices": self.members.indices.astype(np.int32),
            "indptr": self.members.indptr.astype(np.int64),
            "weights": self.known.astype(np.float32),
            "names": self.names,
            "contents": self.contents.contents,
            "content_weights": self.contents.weights,
            "shares": self.shares,
            **self.words.arrays("words"),
            **self.item_texts.arrays("item_texts"),
        }
        if self.name_vectors is not None:
            arrays["name_vectors"] = self.name_vectors
        return Part(name=name, kind=self.kind, config=asdict(self.config), arrays=arrays)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a, members = part.arrays, list_members(part)
        _check_arrays(a, lists=members.shape[0])
        return cls(
            members,
            names=a["names"],
            words=Tfidf.from_arrays(a, "words"),
            item_texts=Tfidf.from_arrays(a, "item_texts"),
            contents=NameToContent(a["contents"], a["content_weights"]),
            name_vectors=a.get("name_vectors"),
            shares=a["shares"],
            config=NameNeighboursConfig(**part.config),
        )


def _check_arrays(arrays: dict[str, NDArray[Any]], *, lists: int) -> None:
    """Raises ValueError: what the names are compared by is not there for each of the lists, or not of one width."""
    for name in ("words", "item_texts"):
        check_shapes(arrays, **{f"{name}_indptr": (lists + 1,)})
    text_dim = arrays["name_vectors"].shape[1] if "name_vectors" in arrays else 0
    if text_dim:
        check_shapes(arrays, name_vectors=(lists, text_dim))
    dim = arrays["contents"].shape[1]
    check_shapes(arrays, names=(lists, NGRAMS.dim), shares=(lists,), contents=(lists, dim))
    check_shapes(arrays, content_weights=(NGRAMS.dim + COLUMNS + text_dim, dim))


def fit_name_neighbours(lists: Playlists, config: NameNeighboursConfig) -> NameNeighbours:
    """All lists as possible neighbours; names have text vectors where `lists.name_vectors` holds them."""
    members, names, words = interactions(lists.data), ngrams(lists.names), name_tfidf(lists.names)
    shares, vectors = lists.shares(), lists.name_vectors
    contents = fit_name_to_content(members, names=names, words=words.vectors, name_vectors=vectors, shares=shares)
    return NameNeighbours(
        members,
        names=names,
        words=words,
        item_texts=item_text_tfidf(members, lists.data.texts),
        contents=contents,
        name_vectors=vectors,
        shares=shares,
        config=config,
    )
