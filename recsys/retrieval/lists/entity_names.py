"""Entities in the name of a list: one called `The Best of Prince` holds items with the artist Prince. Reaches items that no list
holds yet."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.history import Rows
from recsys.data.playlists import Playlists
from recsys.errors import check_ranges
from recsys.retrieval.explanation import Explanation
from recsys.retrieval.lists.groups import grouped, groups, item_weights, stored
from recsys.retrieval.lists.sparse import SparseSource, name_of
from recsys.retrieval.lists.words import code, folded, runs
from recsys.retrieval.source import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityNameConfig:
    """`common` and `popularity` as of `ListAttributesConfig`."""

    common: float = 0.05
    popularity: float = 1.0

    def __post_init__(self) -> None:
        check_ranges(self, common=(0, 1), popularity=(0, inf))


class EntityNameSource(SparseSource):
    """`groups` (items, values) is 1 where an item has a value, `weights` (items,) how much an item counts; `codes` (values,)
    stand for the folded texts of the values."""

    kind = "list-spelt"

    def __init__(
        self,
        groups: sp.csr_matrix,
        *,
        weights: NDArray[np.float32],
        codes: NDArray[np.int64],
        config: EntityNameConfig,
    ) -> None:
        self.groups, self.weights, self.codes, self.config = groups, weights, codes, config
        self.known = np.diff(groups.indptr) > 0
        self._scores = sp.csr_matrix(groups.T @ sp.diags_array(weights)).astype(np.float32)
        self._order = np.argsort(codes, kind="stable")

    def explain(self, query: Query, rows: Rows) -> list[Explanation]:  # noqa: ARG002  (no item of the list counts)
        return [() for _ in rows]

    def sparse_scores(self, queries: Sequence[Query]) -> sp.csr_matrix:
        """By the largest share of a query's name that is the text of a value; none where no run of its words is one."""
        matches = sp.dok_matrix((len(queries), len(self.codes)), dtype=np.float32)
        for i, query in enumerate(queries):
            for run, share in runs(name_of(query).name):
                for value in self._values_of(run).tolist():
                    matches[i, value] = max(matches[i, value], share)
        return sp.csr_matrix(matches.tocsr() @ self._scores)

    def _values_of(self, run: str) -> NDArray[np.int64]:
        """The values whose folded text is `run`."""
        run_code = code(run)
        low, high = (np.searchsorted(self.codes, run_code, side=side, sorter=self._order) for side in ("left", "right"))
        return self._order[low:high]

    def part(self, name: str) -> Part:
        arrays = stored(self.groups) | {"weights": self.weights, "codes": self.codes}
        return Part(name=name, kind=self.kind, config=asdict(self.config), arrays=arrays)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a = part.arrays
        groups = grouped(a, values=len(a["codes"]))
        return cls(groups, weights=a["weights"], codes=a["codes"], config=EntityNameConfig(**part.config))


def fit_entity_names(lists: Playlists, config: EntityNameConfig) -> EntityNameSource:
    """The values of `lists.attributes` that make groups."""
    by_value = groups(lists, common=config.common)
    codes = np.array([code(folded(text)) for text in by_value.texts], dtype=np.int64)
    return EntityNameSource(
        by_value.members, weights=item_weights(lists, popularity=config.popularity), codes=codes, config=config
    )
