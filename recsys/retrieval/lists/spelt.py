"""Names that speak of their items: a list called `The Best of Prince` holds what has the artist Prince. Reaches items that no
list holds yet."""

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
from recsys.retrieval.lists.groups import grouped, groups, item_weights, stored
from recsys.retrieval.lists.sparse import ListQuery, SparseSource
from recsys.retrieval.lists.words import code, folded, ngrams, runs
from recsys.retrieval.source import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSpeltConfig:
    """A name speaks of a value as much as it spells it out: the share of its words that do, or the cosine of both as n-grams
    from `like` on, to `power`. A value counts by half where its items occur `trust` times: few lists called `lit` are of the
    band. `common` and `popularity` as of `ListAttributesConfig`.
    """

    common: float = 0.05
    popularity: float = 1.0
    like: float = 0.5
    power: float = 4.0
    trust: float = 50.0

    def __post_init__(self) -> None:
        within(self, common=(0, 1), popularity=(0, inf), like=(0, 1), power=(0, inf), trust=(0, inf))


class ListSpelt(SparseSource):
    """`groups` (items, values) is 1 where an item has a value, `weights` (items,) how much an item counts; `codes` (values,)
    stand for the folded texts of the values, `vectors` (values, dim) are their n-grams, `occurrences` (values,) count their
    items in lists."""

    def __init__(
        self,
        groups: sp.csr_matrix,
        *,
        weights: NDArray[np.float32],
        codes: NDArray[np.int64],
        vectors: NDArray[np.float32],
        occurrences: NDArray[np.float32],
        config: ListSpeltConfig,
    ) -> None:
        self.groups, self.weights, self.config = groups, weights, config
        self.codes, self.vectors, self.occurrences = codes, vectors, occurrences
        self.known = np.diff(groups.indptr) > 0
        self._says = sp.csr_matrix(groups.T @ sp.diags_array(weights)).astype(np.float32)
        self._order = np.argsort(codes, kind="stable")
        self._trust = (occurrences / np.maximum(occurrences + config.trust, 1e-9)).astype(np.float32)

    def opinions(self, queries: Sequence[Query]) -> sp.csr_matrix:
        """By the names of the queries; none for one without a name, or whose name spells out nothing."""
        names = [query.name if isinstance(query, ListQuery) else None for query in queries]
        spoken = ngrams(names) @ self.vectors.T
        spoken = np.where(spoken >= self.config.like, spoken, 0) ** self.config.power
        for row, name in zip(spoken, names, strict=True):
            for run, share in runs(name):
                places = self._called(run)
                row[places] = np.maximum(row[places], share)
        return sp.csr_matrix(sp.csr_matrix((spoken * self._trust).astype(np.float32)) @ self._says)

    def _called(self, run: str) -> NDArray[np.int64]:
        """The values whose folded text is `run`."""
        wanted = code(run)
        low, high = (np.searchsorted(self.codes, wanted, side=side, sorter=self._order) for side in ("left", "right"))
        return self._order[low:high]

    def part(self, name: str) -> Part:
        arrays = stored(self.groups) | {
            "weights": self.weights,
            "codes": self.codes,
            "vectors": self.vectors,
            "occurrences": self.occurrences,
        }
        return Part(name=name, kind="list-spelt", config=asdict(self.config), arrays=arrays)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a = part.arrays
        return cls(
            grouped(a, values=len(a["codes"])),
            weights=a["weights"],
            codes=a["codes"],
            vectors=a["vectors"],
            occurrences=a["occurrences"],
            config=ListSpeltConfig(**part.config),
        )


def fit_list_spelt(lists: Playlists, config: ListSpeltConfig) -> ListSpelt:
    """The values of `lists.attributes` that make groups."""
    found, texts = groups(lists, common=config.common)
    return ListSpelt(
        found,
        weights=item_weights(lists, popularity=config.popularity),
        codes=np.array([code(folded(text)) for text in texts], dtype=np.int64),
        vectors=ngrams(texts),
        occurrences=np.asarray(found.T @ lists.data.counts()).ravel().astype(np.float32),
        config=config,
    )
