"""Blends sources: candidates of each, scored by all, weighed as validation taught.

Every source's scores are standardised over one query's candidates, so that only their shape counts. Having no opinion is
a feature of its own, not a zero: the fit learns what a silent source means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.retrieval.source import Candidates, Query, Scores, Source, top

BLOCK = 256
"""Queries blended at once: bounds the candidates in memory."""

Features = NDArray[np.float32]
"""(queries, candidates, 2 * sources): standardised scores, then flags of silence."""


@dataclass(frozen=True, slots=True, eq=False)
class Fusion:
    """`weights` (2 * sources,) of the features of `sources`, in their order; `depth` candidates are taken from each."""

    sources: tuple[str, ...]
    weights: NDArray[np.float32]
    depth: int
    about: dict[str, Any]

    def part(self, name: str) -> Part:
        config = {"sources": list(self.sources), "depth": self.depth, **self.about}
        return Part(name=name, kind="fusion", config=config, arrays={"weights": self.weights})

    @classmethod
    def from_part(cls, part: Part) -> Self:
        about = {key: value for key, value in part.config.items() if key not in ("sources", "depth")}
        return cls(tuple(part.config["sources"]), part.arrays["weights"], part.config["depth"], about)


class FusionSource:
    """A fusion bound to the sources it blends."""

    def __init__(self, fusion: Fusion, sources: Mapping[str, Source]) -> None:
        self.fusion = fusion
        self.sources = [sources[name] for name in fusion.sources]

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """The `k` best of all sources' candidates. A shorter list is the beginning of a longer one."""
        rows = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        for start in range(0, len(queries), BLOCK):
            block = queries[start : start + BLOCK]
            candidates = gather(self.sources, block, depth=self.fusion.depth)
            blended = features(self.sources, block, candidates) @ self.fusion.weights
            best = top(np.where(candidates >= 0, blended, -np.inf), k=k)
            width, end = best.rows.shape[1], start + len(block)
            picked = np.take_along_axis(candidates, np.maximum(best.rows, 0), axis=1)
            rows[start:end, :width] = np.where(best.rows >= 0, picked, -1)
            scores[start:end, :width] = best.scores
        return Candidates(rows, scores)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """Blended scores of `rows`, standardised over these rows: comparable within one call only."""
        blended: Scores = features(self.sources, queries, rows) @ self.fusion.weights
        return np.where(rows >= 0, blended, np.nan)

    def explain(self, queries: Sequence[Query], found: Candidates) -> list[list[tuple[str, tuple[str, ...]]]]:
        """Per returned row: the source that lifted it most, and all sources that had an opinion."""
        names, count = self.fusion.sources, len(self.fusion.sources)
        parts = features(self.sources, queries, found.rows)
        lift = parts[..., :count] * self.fusion.weights[:count]
        silent = parts[..., count:] > 0
        lift = np.where(silent, -np.inf, lift)
        return [
            [
                (names[int(lift[q, c].argmax())], tuple(n for n, s in zip(names, silent[q, c], strict=True) if not s))
                for c in range(found.rows.shape[1])
                if found.rows[q, c] >= 0
            ]
            for q in range(len(queries))
        ]


def gather(sources: Sequence[Source], queries: Sequence[Query], *, depth: int) -> NDArray[np.int64]:
    """The union of each source's `depth` best rows per query, ascending, padded with -1 on the right."""
    found = np.concatenate([source.search(queries, k=depth).rows for source in sources], axis=1)
    found.sort(axis=1)
    found[:, 1:][found[:, 1:] == found[:, :-1]] = -1
    found[:, ::-1].sort(axis=1)  # descending: the -1 go to the right
    width = max(1, int((found >= 0).sum(axis=1).max(initial=0)))
    return np.ascontiguousarray(found[:, :width])


def features(sources: Sequence[Source], queries: Sequence[Query], rows: NDArray[np.int64]) -> Features:
    """The features of `rows` (queries, candidates); -1 rows get a silence everywhere."""
    scores = [source.score(queries, rows) for source in sources]
    return stack(scores)


def stack(scores: Sequence[Scores]) -> Features:
    """Features of raw scores (queries, candidates) per source, NaN where it is silent."""
    standard, silent = [], []
    for raw in scores:
        quiet = np.isnan(raw)
        held = np.ma.masked_array(raw.astype(np.float64), quiet)
        mean, spread = held.mean(axis=1, keepdims=True).filled(0), held.std(axis=1, keepdims=True).filled(0)
        standard.append(np.where(quiet, 0, (raw - mean) / np.maximum(spread, 1e-6)))
        silent.append(quiet)
    return np.stack([*standard, *silent], axis=-1).astype(np.float32)
