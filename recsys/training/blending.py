"""Fits the weights of a fusion on validation cases, and says which part does not earn its place.

A conditional logit: among one query's candidates the true next item should score highest. A share of all candidates is
hidden from the sources that cannot know a new item, so that the fit learns what their silence means and cold items are not
buried. Hiding true next items alone would not do: their silence would give them away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.data.splits import EvalCases
from recsys.metrics.ranking import Interval, bootstrap, ndcg
from recsys.ranking.filters import over_catalogue
from recsys.retrieval.fusion import Features, Fusion, gather, joined, stack
from recsys.retrieval.source import Source

DEPTH = 100
HIDDEN = 0.3
"""Share of each case's candidates that are made new."""

FOLDS = 5
MAX_CASES = 5000
NEWTON_STEPS = 30
RIDGE = 0.03
"""Pull towards equal weights: chosen by cross-validation on MovieLens-100K among .001, .03, .1 and .3."""
RIDGE_SILENT = 0.003
"""Pull towards 0 of the weights that silence has: weak, for few candidates teach them."""


@dataclass(frozen=True, slots=True, eq=False)
class FusionData:
    """Raw scores (cases, candidates, sources) of the candidates, and where the target stands among them (-1: nowhere)."""

    names: tuple[str, ...]
    scores: NDArray[np.float32]
    real: NDArray[np.bool_]
    target: NDArray[np.int64]

    def only(self, names: Sequence[str]) -> "FusionData":
        """The same candidates seen by some of the sources."""
        keep = [self.names.index(name) for name in names]
        return FusionData(tuple(names), self.scores[..., keep], self.real, self.target)


def collect(
    sources: Mapping[str, Source], cases: EvalCases, *, items: int, include_seen: bool, seed: int
) -> FusionData:
    """Candidates of up to `MAX_CASES` cases with the scores of every source."""
    generator = np.random.default_rng(seed)
    chosen = np.sort(generator.permutation(len(cases))[:MAX_CASES])
    rows, scores = [], []
    parts = list(sources.values())
    for start in range(0, len(chosen), 256):
        histories = [cases.histories[case] for case in chosen[start : start + 256]]
        queries = over_catalogue(histories, items=items, include_seen=include_seen)
        found = gather(parts, queries, depth=DEPTH)
        rows.append(found)
        scores.append(np.stack([source.score(queries, found) for source in parts], axis=-1))
    width = max(block.shape[1] for block in rows)
    candidates = np.concatenate([_pad(block, width, -1) for block in rows])
    hit = candidates == cases.targets[chosen][:, None]
    target = np.where(hit.any(axis=1), hit.argmax(axis=1), -1)
    return FusionData(tuple(sources), np.concatenate([_pad(b, width, np.nan) for b in scores]), candidates >= 0, target)


def with_new_items(data: FusionData, *, unseen: Mapping[str, float], seed: int) -> FusionData:
    """`data` as if a share of each case's candidates were new to the sources named in `unseen`, with the score they give then.

    A new item is a candidate only where a source that knows it, by its text, has it among its best. Without such a source
    there are no new items, and nothing changes.
    """
    if all(name in unseen for name in data.names):
        return data
    hidden = np.random.default_rng(seed).random(data.real.shape) < HIDDEN
    scores, found = data.scores.copy(), np.zeros_like(hidden)
    for i, name in enumerate(data.names):
        if name in unseen:
            scores[hidden, i] = unseen[name]
        else:
            found |= _among_best(scores[..., i])
    real = data.real & (found | ~hidden)
    scores[~real] = np.nan
    kept = real[np.arange(len(real)), data.target] & (data.target >= 0)
    return FusionData(data.names, scores, real, np.where(kept, data.target, -1))


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """`FusionData` with the features in place of the scores: (cases, candidates, 3 * sources)."""

    names: tuple[str, ...]
    features: Features
    real: NDArray[np.bool_]
    target: NDArray[np.int64]

    @classmethod
    def of(cls, data: FusionData) -> "Table":
        x = stack([data.scores[..., i] for i in range(len(data.names))])
        return cls(data.names, x, data.real, data.target)

    def only(self, names: Sequence[str]) -> "Table":
        """The same cases seen by some of the sources."""
        keep = np.array([self.names.index(name) for name in names])
        x = joined(self.features[..., keep], self.features[..., len(self.names) + keep])
        return replace(self, names=tuple(names), features=x)


def fit_fusion(taught: Table, cases: NDArray[np.int64], *, ridge: float = RIDGE) -> NDArray[np.float32]:
    """Weights of the features, fitted on those of `cases` whose target is a candidate; equal ones if there are none."""
    count = len(taught.names)
    start = np.repeat(np.array([2 / count, 0, 0], dtype=np.float32), count)
    pull = np.repeat(np.array([ridge, RIDGE_SILENT, RIDGE_SILENT], dtype=np.float32), count)
    cases = cases[taught.target[cases] >= 0]
    if not len(cases):
        return start
    return _newton(_Logit(taught.features[cases], taught.real[cases], taught.target[cases], start, pull))


def cross_validated(plain: Table, taught: Table, *, seed: int) -> NDArray[np.float64]:
    """NDCG@10 of each case of `plain`, from weights fitted on the other folds of `taught`."""
    fold = np.random.default_rng(seed).permutation(len(plain.target)) % FOLDS
    out = np.zeros(len(plain.target))
    for held in range(FOLDS):
        inside = np.flatnonzero(fold == held)
        out[inside] = quality(plain, fit_fusion(taught, np.flatnonzero(fold != held)), inside)
    return out


def quality(plain: Table, weights: NDArray[np.float32], cases: NDArray[np.int64]) -> NDArray[np.float64]:
    """NDCG@10 of the given cases; a target that is no candidate gets 0."""
    blended = np.where(plain.real[cases], plain.features[cases] @ weights, -np.inf)
    target = plain.target[cases]
    own = np.take_along_axis(blended, np.maximum(target, 0)[:, None], axis=1)
    ranks = (blended > own).sum(axis=1) + ((blended == own).sum(axis=1) + 1) / 2
    return np.where(target >= 0, ndcg(ranks), 0.0)


def choose(
    data: FusionData, *, always: Sequence[str], optional: Sequence[str], unseen: Mapping[str, float], seed: int
) -> tuple[Fusion, dict[str, Any]]:
    """The fusion without those `optional` sources that lower cross-validated NDCG@10, and its figures on validation.

    `unseen` names the sources that cannot know a new item, and the score that they give it: NaN where they are silent.
    A source is left out where it costs more than the standard error of what it costs: less is chance. The figures have for
    each optional source what the fusion gained with it over the same fusion fitted without it, paired by case.
    """
    names, with_minus_without = list(always) + list(optional), dict[str, Interval]()
    data = data.only(names)
    plain, taught = Table.of(data), Table.of(with_new_items(data, unseen=unseen, seed=seed))
    best = cross_validated(plain, taught, seed=seed)
    for name in optional:
        rest = [other for other in names if other != name]
        less = plain.only(rest), taught.only(rest)
        without = cross_validated(*less, seed=seed)
        gain = best - without
        with_minus_without[name] = bootstrap(gain, seed=seed)
        if gain.mean() < -gain.std() / np.sqrt(len(gain)):
            (plain, taught), best, names = less, without, rest
    weights = fit_fusion(taught, np.arange(len(taught.target)))
    left_out = {name: gain.mean for name, gain in with_minus_without.items() if name not in names}
    figures = {
        "validation_ndcg@10": float(best.mean()),
        "with_minus_without": {name: asdict(gain) for name, gain in with_minus_without.items()},
    }
    return Fusion(tuple(names), weights, DEPTH, {"left_out": left_out}), figures


@dataclass(frozen=True, slots=True, eq=False)
class _Logit:
    """Mean cross-entropy of the targets among their candidates, and `pull` times the squared distance from `start`."""

    x: Features
    real: NDArray[np.bool_]
    target: NDArray[np.int64]
    start: NDArray[np.float32]
    pull: NDArray[np.float32]

    def loss(self, weights: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        """(the loss, the chance of each candidate)."""
        logits = np.where(self.real, self.x @ weights, -np.inf)
        best = logits.max(axis=1, keepdims=True)
        chances = np.exp(logits - best)
        total = chances.sum(axis=1, keepdims=True)
        own = np.take_along_axis(logits, self.target[:, None], axis=1)
        pull = float((self.pull * (weights - self.start) ** 2).sum())
        return float((np.log(total) + best - own).mean()) + pull, chances / total

    def step(self, weights: NDArray[np.float32], chances: NDArray[np.float32]) -> NDArray[np.float32]:
        """Newton's: the gradient through the inverse of the second derivatives."""
        count, width = len(self.x), self.x.shape[-1]
        mean = np.matmul(chances[:, None, :], self.x)[:, 0]
        gradient = (mean - self.x[np.arange(count), self.target]).mean(axis=0) + 2 * self.pull * (weights - self.start)
        spread = (self.x * np.sqrt(chances)[..., None]).reshape(-1, width)
        curve = (spread.T @ spread - mean.T @ mean).astype(np.float64) / count + np.diag(2 * self.pull)
        return np.linalg.solve(curve, gradient.astype(np.float64)).astype(np.float32)


def _newton(problem: _Logit) -> NDArray[np.float32]:
    """The weights of least loss: it is convex, so that a few steps, halved where they overshoot, get there."""
    weights = problem.start
    loss, chances = problem.loss(weights)
    for _ in range(NEWTON_STEPS):
        step = problem.step(weights, chances)
        for share in 0.5 ** np.arange(10, dtype=np.float32):
            less, moved = problem.loss(weights - share * step)
            if less < loss:
                break
        else:
            break
        weights, gained = weights - share * step, loss - less
        loss, chances = less, moved
        if gained < 1e-6:
            break
    return weights


def _among_best(scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each of the candidates (cases, candidates) is one of a source's `DEPTH` best of its case."""
    known = np.where(np.isnan(scores), -np.inf, scores)
    if scores.shape[1] <= DEPTH:
        return known > -np.inf
    last = -np.partition(-known, DEPTH - 1, axis=1)[:, DEPTH - 1 : DEPTH]
    return (known >= last) & (known > -np.inf)


def _pad(block: NDArray[np.generic], width: int, value: float) -> NDArray[np.generic]:
    shape = [(0, 0), (0, width - block.shape[1]), *[(0, 0)] * (block.ndim - 2)]
    return np.pad(block, shape, constant_values=value)
