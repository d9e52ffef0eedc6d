"""Blends sources: candidates of each, scored by all, with weights fitted on validation.

Every source's scores are standardised over one query's candidates, so that only their shape counts. Having no score is
a feature of its own, not a zero: the fit learns what a missing score means, and how far to trust the others then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.errors import BundleError
from recsys.retrieval.source import Candidates, Query, Scores, Source, top
from recsys.retrieval.stored_settings import check_blend

QUERIES_PER_BLOCK = 256
"""Queries blended at once: bounds the candidates in memory."""

FUSION = "fusion"
"""The kind of the parts that say how others are blended."""

Features = NDArray[np.float32]
"""(queries, candidates, 3 * sources): standardised scores, flags of missing scores, and the scores again times the share of the
sources without a score for this candidate, beyond those without one for the whole query."""

Attribution = tuple[str, tuple[str, ...]]
"""The source that contributed most to an item's score, and all that had a score for it."""


@dataclass(frozen=True, slots=True, eq=False)
class Fusion:
    """`weights` (3 * sources,) of the features of `sources`, in their order; `depth` candidates are taken from each."""

    sources: tuple[str, ...]
    weights: NDArray[np.float32]
    depth: int
    about: dict[str, Any]

    def part(self, name: str) -> Part:
        config = {"sources": list(self.sources), "depth": self.depth, **self.about}
        return Part(name=name, kind=FUSION, config=config, arrays={"weights": self.weights})

    @classmethod
    def from_part(cls, part: Part) -> Self:
        """Raises BundleError: there are not as many weights as its sources need, or it takes more than a fusion may."""
        about = {key: value for key, value in part.config.items() if key not in ("sources", "depth")}
        try:
            sources, depth, weights = tuple(part.config["sources"]), part.config["depth"], part.arrays["weights"]
        except (KeyError, TypeError) as error:
            raise BundleError(f"part {part.name!r} does not fit its settings ({error}); train it again") from error
        check_blend(part, sources=sources, depth=depth)
        if weights.shape != (3 * len(sources),):
            raise BundleError(
                f"part {part.name!r} has {weights.size} weights for {len(sources)} sources; train it again"
            )
        return cls(sources, weights, depth, about)


class FusionSource:
    """A fusion bound to the sources it blends."""

    def __init__(self, fusion: Fusion, sources: Mapping[str, Source]) -> None:
        self.fusion = fusion
        self.sources = [sources[name] for name in fusion.sources]
        self._names_of_code: dict[int, tuple[str, ...]] = {}

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """The `k` best of all sources' candidates. A shorter list is the beginning of a longer one."""
        return self.attributed(queries, k=k)[0]

    def attributed(self, queries: Sequence[Query], *, k: int) -> tuple[Candidates, list[list[Attribution]]]:
        """What `search` finds, and for each row the sources that it comes from."""
        rows, scores = [np.empty((0, k), dtype=np.int64)], [np.empty((0, k), dtype=np.float32)]
        attributions = list[list[Attribution]]()
        for start in range(0, len(queries), QUERIES_PER_BLOCK):
            block = queries[start : start + QUERIES_PER_BLOCK]
            candidates = gather(self.sources, block, depth=self.fusion.depth)
            x = features(self.sources, block, candidates)
            best = top(np.where(candidates >= 0, x @ self.fusion.weights, -np.inf), k=k)
            chosen = np.take_along_axis(candidates, np.maximum(best.rows, 0), axis=1)
            rows.append(np.where(best.rows >= 0, chosen, -1))
            scores.append(best.scores)
            attributions += [self._attributions(x[i, columns[columns >= 0]]) for i, columns in enumerate(best.rows)]
        return Candidates(np.concatenate(rows), np.concatenate(scores)), attributions

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """Blended scores of `rows` as they would be among the query's candidates; NaN where there are none."""
        out = np.full(rows.shape, np.nan, dtype=np.float32)
        for start in range(0, len(queries), QUERIES_PER_BLOCK):
            span = slice(start, start + QUERIES_PER_BLOCK)
            candidates = gather(self.sources, queries[span], depth=self.fusion.depth)
            both = np.concatenate([candidates, rows[span]], axis=1)
            blended = features(self.sources, queries[span], both, among=candidates.shape[1]) @ self.fusion.weights
            real = (rows[span] >= 0) & (candidates >= 0).any(axis=1, keepdims=True)
            out[span] = np.where(real, blended[:, candidates.shape[1] :], np.nan)
        return out

    def _attributions(self, x: NDArray[np.float32]) -> list[Attribution]:
        """The attributions of rows with the features `x` (rows, 3 * sources).

        A source with a negative weight does not lead where another has a score: it raises what it ranks low.
        """
        names = self.fusion.sources
        direct, _, without_others = (x * self.fusion.weights).reshape(len(x), 3, len(names)).swapaxes(0, 1)
        missing = x[:, len(names) : 2 * len(names)] > 0
        contributions = np.where(missing, -np.inf, direct + without_others)
        favours = ~missing & (self.fusion.weights[: len(names)] > 0)
        leads = np.where(favours.any(axis=1, keepdims=True), favours, ~missing)
        leading = np.where(leads, contributions, -np.inf).argmax(axis=1)
        codes = (~missing @ (1 << np.arange(len(names)))).tolist()
        return [(names[i], self._names(code)) for i, code in zip(leading.tolist(), codes, strict=True)]

    def _names(self, code: int) -> tuple[str, ...]:
        """The sources whose bits `code` has."""
        if code not in self._names_of_code:
            self._names_of_code[code] = tuple(name for i, name in enumerate(self.fusion.sources) if code >> i & 1)
        return self._names_of_code[code]


def gather(sources: Sequence[Source], queries: Sequence[Query], *, depth: int) -> NDArray[np.int64]:
    """The union of each source's `depth` best rows per query, ascending, padded with -1 on the right."""
    rows = np.concatenate([source.search(queries, k=depth).rows for source in sources], axis=1)
    last = np.iinfo(np.int64).max
    rows[rows < 0] = last
    rows.sort(axis=1)
    rows[:, 1:][rows[:, 1:] == rows[:, :-1]] = last
    rows.sort(axis=1)
    width = max(1, int((rows < last).sum(axis=1).max(initial=0)))
    return np.where(rows < last, rows, -1)[:, :width]


def features(
    sources: Sequence[Source], queries: Sequence[Query], rows: NDArray[np.int64], *, among: int | None = None
) -> Features:
    """The features of `rows` (queries, candidates), as `stack` makes them; -1 rows have no score in any source."""
    return stack([source.score(queries, rows) for source in sources], among=among)


def stack(scores: Sequence[Scores], *, among: int | None = None) -> Features:
    """Features of raw scores (queries, candidates) per source, NaN where there is none.

    Scores are standardised over the first `among` candidates, or over all.
    """
    missing = np.stack([np.isnan(raw) for raw in scores], axis=-1)
    standard = np.stack([standardised(raw, among=among) for raw in scores], axis=-1)
    return joined(standard, missing, among=among)


def joined(standard: NDArray[np.float32], missing: NDArray[Any], *, among: int | None = None) -> Features:
    """Features from standardised scores and flags of missing ones, both (queries, candidates, sources)."""
    share = missing.mean(axis=-1, keepdims=True, dtype=np.float32)
    share -= share[:, :among].min(axis=1, keepdims=True)
    return np.concatenate([standard, missing, standard * share], axis=-1, dtype=np.float32)


def standardised(raw: Scores, *, among: int | None = None) -> NDArray[np.float32]:
    """With mean 0 and standard deviation 1 over what is a number among the first; 0 where there is none."""
    real = ~np.isnan(raw)
    values, counted = np.where(real, raw, 0).astype(np.float64), real[:, :among]
    size = np.maximum(counted.sum(axis=1, keepdims=True), 1)
    centred = np.where(real, values - values[:, :among].sum(axis=1, keepdims=True) / size, 0)
    spread = np.sqrt((centred[:, :among] ** 2).sum(axis=1, keepdims=True) / size)
    return (centred / np.maximum(spread, 1e-6)).astype(np.float32)
