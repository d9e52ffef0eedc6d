"""The same items for everyone: the most frequent ones, of all time or of late."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.dataset import Dataset
from recsys.data.history import Rows
from recsys.errors import check_ranges
from recsys.indexes.index import empty_result, write_row
from recsys.retrieval.explanation import Explanation
from recsys.retrieval.search_space import Axis, Catalogue, SearchSpace
from recsys.retrieval.source import Allowed, Candidates, Query, Scores, StoredSource

POPULAR = "popular"
"""What the source is called that stands in where others find nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PopularConfig:
    """`share` of the events counts: 1 for all, .1 for the last tenth (by time, or by place in the history without times)."""

    share: float = 1.0

    def __post_init__(self) -> None:
        check_ranges(self, share=(1e-6, 1))


class PopularSource(StoredSource):
    """Scores that do not depend on the history: log(1 + count), where an event counts its weight."""

    def __init__(self, scores: Scores, *, config: dict[str, Any], kind: str = POPULAR) -> None:
        self.scores, self.config, self.kind = scores, config, kind
        self._ranking = np.argsort(-scores, kind="stable")

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """The most frequent allowed rows; items never seen come last, in catalogue order."""
        result = empty_result(len(queries), k=k)
        for i, query in enumerate(queries):
            rows = self._first(query.allowed, k=k)
            write_row(result, i, rows, self._upto(len(query.allowed))[rows])
        return Candidates(*result)

    def _first(self, allowed: Allowed, *, k: int) -> NDArray[np.int64]:
        """The first `k` allowed rows of the ranking, and behind them those that came later; most often a few are looked at."""
        known, width = len(self.scores), 4 * k
        while width < known:
            rows = self._ranking[:width]
            rows = rows[rows < len(allowed)]
            if len(rows := rows[allowed[rows]]) >= k:
                return rows[:k]
            width *= 4
        rows = self._ranking[self._ranking < len(allowed)]
        later = np.arange(known, max(known, len(allowed)))
        return np.concatenate([rows[allowed[rows]], later[allowed[later]]])[:k]

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:  # noqa: ARG002  (the same for everyone)
        """log(1 + count); 0 for an item that came later, NaN at row -1."""
        scores = self._upto(max(int(rows.max(initial=0)) + 1, len(self.scores)))
        return np.where(rows >= 0, scores[np.maximum(rows, 0)], np.nan).astype(np.float32)

    def _upto(self, width: int) -> Scores:
        out = np.zeros(width, dtype=np.float32)
        size = min(width, len(self.scores))
        out[:size] = self.scores[:size]
        return out

    @property
    def trained(self) -> NDArray[np.bool_]:
        return self.scores > 0

    def explain(self, query: Query, rows: Rows) -> list[Explanation]:  # noqa: ARG002  (the same for everyone)
        return [() for _ in rows]

    def part(self, name: str) -> Part:
        return Part(name=name, kind=self.kind, config=self.config, arrays={"scores": self.scores})

    @classmethod
    def from_part(cls, part: Part) -> Self:
        return cls(part.arrays["scores"], config=part.config, kind=part.kind)


def recent_search_space(_: Catalogue) -> SearchSpace:
    """The settings that are tried for what was popular of late."""
    return SearchSpace(PopularConfig(share=0.1), (Axis("share", (0.05, 0.1, 0.2), "log", low=0.001, high=1.0),))


def fit_popular(dataset: Dataset, config: PopularConfig, *, kind: str = POPULAR) -> PopularSource:
    """Sums of weights over the latest `share` of the events."""
    from_end = np.repeat(dataset.starts[1:], dataset.lengths) - np.arange(len(dataset.rows))
    undated = np.isnan(dataset.at).any()
    age = from_end / np.maximum(np.repeat(dataset.lengths, dataset.lengths), 1) if undated else -dataset.at
    late = np.argsort(age, kind="stable")[: int(np.ceil(config.share * len(age)))]
    counts = np.bincount(dataset.rows[late], weights=dataset.values[late], minlength=dataset.items)
    return PopularSource(np.log1p(counts).astype(np.float32), config=asdict(config), kind=kind)
