"""Blends sources: candidates of each, scored by all, weighed as validation taught.

Every source's scores are standardised over one query's candidates, so that only their shape counts. Having no opinion is
a feature of its own, not a zero: the fit learns what a silent source means, and how far to trust the others then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.errors import BundleError
from recsys.retrieval.source import Candidates, Query, Scores, Source, top

BLOCK = 256
"""Queries blended at once: bounds the candidates in memory."""

Features = NDArray[np.float32]
"""(queries, candidates, 3 * sources): standardised scores, flags of silence, and the scores again times the share of the
sources that are silent on this candidate, beyond those that are silent on the whole query."""

Why = tuple[str, tuple[str, ...]]
"""The source that contributed most to an item's score, and all that had an opinion on it."""


@dataclass(frozen=True, slots=True, eq=False)
class Fusion:
    """`weights` (3 * sources,) of the features of `sources`, in their order; `depth` candidates are taken from each."""

    sources: tuple[str, ...]
    weights: NDArray[np.float32]
    depth: int
    about: dict[str, Any]

    def part(self, name: str) -> Part:
        config = {"sources": list(self.sources), "depth": self.depth, **self.about}
        return Part(name=name, kind="fusion", config=config, arrays={"weights": self.weights})

    @classmethod
    def from_part(cls, part: Part) -> Self:
        """Raises BundleError: there are not as many weights as its sources need."""
        about = {key: value for key, value in part.config.items() if key not in ("sources", "depth")}
        try:
            sources, depth, weights = tuple(part.config["sources"]), part.config["depth"], part.arrays["weights"]
        except KeyError as error:
            raise BundleError(f"part {part.name!r} does not fit its settings ({error}); train it again") from error
        if weights.shape != (3 * len(sources),):
            raise BundleError(
                f"part {part.name!r} has {len(weights)} weights for {len(sources)} sources; train it again"
            )
        return cls(sources, weights, depth, about)


class FusionSource:
    """A fusion bound to the sources it blends."""

    def __init__(self, fusion: Fusion, sources: Mapping[str, Source]) -> None:
        self.fusion = fusion
        self.sources = [sources[name] for name in fusion.sources]
        self._named: dict[int, tuple[str, ...]] = {}

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """The `k` best of all sources' candidates. A shorter list is the beginning of a longer one."""
        return self.explained(queries, k=k)[0]

    def explained(self, queries: Sequence[Query], *, k: int) -> tuple[Candidates, list[list[Why]]]:
        """What `search` finds, and why each of it."""
        rows, scores, why = [np.empty((0, k), dtype=np.int64)], [np.empty((0, k), dtype=np.float32)], list[list[Why]]()
        for start in range(0, len(queries), BLOCK):
            block = queries[start : start + BLOCK]
            candidates = gather(self.sources, block, depth=self.fusion.depth)
            x = features(self.sources, block, candidates)
            best = top(np.where(candidates >= 0, x @ self.fusion.weights, -np.inf), k=k)
            picked = np.take_along_axis(candidates, np.maximum(best.rows, 0), axis=1)
            rows.append(np.where(best.rows >= 0, picked, -1))
            scores.append(best.scores)
            why += [self._why(x[i, places[places >= 0]]) for i, places in enumerate(best.rows)]
        return Candidates(np.concatenate(rows), np.concatenate(scores)), why

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """Blended scores of `rows` as they would be among the query's candidates; NaN where there are none."""
        out = np.full(rows.shape, np.nan, dtype=np.float32)
        for start in range(0, len(queries), BLOCK):
            span = slice(start, start + BLOCK)
            candidates = gather(self.sources, queries[span], depth=self.fusion.depth)
            both = np.concatenate([candidates, rows[span]], axis=1)
            blended = features(self.sources, queries[span], both, among=candidates.shape[1]) @ self.fusion.weights
            real = (rows[span] >= 0) & (candidates >= 0).any(axis=1, keepdims=True)
            out[span] = np.where(real, blended[:, candidates.shape[1] :], np.nan)
        return out

    def _why(self, x: NDArray[np.float32]) -> list[Why]:
        """Reasons for rows with the features `x` (rows, 3 * sources)."""
        names = self.fusion.sources
        own, _, alone = (x * self.fusion.weights).reshape(len(x), 3, len(names)).swapaxes(0, 1)
        silent = x[:, len(names) : 2 * len(names)] > 0
        most = np.where(silent, -np.inf, own + alone).argmax(axis=1)
        codes = (~silent @ (1 << np.arange(len(names)))).tolist()
        return [(names[i], self._voices(code)) for i, code in zip(most.tolist(), codes, strict=True)]

    def _voices(self, code: int) -> tuple[str, ...]:
        """The sources whose bits `code` has."""
        if code not in self._named:
            self._named[code] = tuple(name for i, name in enumerate(self.fusion.sources) if code >> i & 1)
        return self._named[code]


def gather(sources: Sequence[Source], queries: Sequence[Query], *, depth: int) -> NDArray[np.int64]:
    """The union of each source's `depth` best rows per query, ascending, padded with -1 on the right."""
    found = np.concatenate([source.search(queries, k=depth).rows for source in sources], axis=1)
    last = np.iinfo(np.int64).max
    found[found < 0] = last
    found.sort(axis=1)
    found[:, 1:][found[:, 1:] == found[:, :-1]] = last
    found.sort(axis=1)
    width = max(1, int((found < last).sum(axis=1).max(initial=0)))
    return np.where(found < last, found, -1)[:, :width]


def features(
    sources: Sequence[Source], queries: Sequence[Query], rows: NDArray[np.int64], *, among: int | None = None
) -> Features:
    """The features of `rows` (queries, candidates), as `stack` makes them; -1 rows get a silence everywhere."""
    return stack([source.score(queries, rows) for source in sources], among=among)


def stack(scores: Sequence[Scores], *, among: int | None = None) -> Features:
    """Features of raw scores (queries, candidates) per source, NaN where it is silent.

    Scores are standardised over the first `among` candidates, or over all.
    """
    silent = np.stack([np.isnan(raw) for raw in scores], axis=-1)
    standard = np.stack([_standard(raw, among=among) for raw in scores], axis=-1)
    return joined(standard, silent, among=among)


def joined(standard: NDArray[np.float32], silent: NDArray[Any], *, among: int | None = None) -> Features:
    """Features from standardised scores and flags of silence, both (queries, candidates, sources)."""
    quiet = silent.mean(axis=-1, keepdims=True, dtype=np.float32)
    quiet -= quiet[:, :among].min(axis=1, keepdims=True)
    return np.concatenate([standard, silent, standard * quiet], axis=-1, dtype=np.float32)


def _standard(raw: Scores, *, among: int | None) -> NDArray[np.float32]:
    """With mean 0 and standard deviation 1 over what is a number among the first; 0 where there is none."""
    real = ~np.isnan(raw)
    values, counted = np.where(real, raw, 0).astype(np.float64), real[:, :among]
    size = np.maximum(counted.sum(axis=1, keepdims=True), 1)
    centred = np.where(real, values - values[:, :among].sum(axis=1, keepdims=True) / size, 0)
    spread = np.sqrt((centred[:, :among] ** 2).sum(axis=1, keepdims=True) / size)
    return (centred / np.maximum(spread, 1e-6)).astype(np.float32)
