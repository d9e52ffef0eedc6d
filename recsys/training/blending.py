"""Fits the weights of a fusion on validation cases, and leaves out the sources that lower its accuracy.

A conditional logit: among one query's candidates the true next item should score highest. A share of all candidates is
scored as new: masked in the sources that cannot score a new item, and by its text alone in those that know it by more. So the
fit learns what missing scores mean, cold items are not buried, and no source is trusted on new items for what it knows of old
ones. Masking true next items alone would not do: their missing scores would give them away.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.data.splits import EvalCases
from recsys.encoders.base import Vectors
from recsys.metrics.ranking import Interval, bootstrap, ndcg
from recsys.pace import Pace
from recsys.ranking.filters import over_catalogue
from recsys.retrieval.fusion import FUSION, Features, Fusion, gather, joined, stack
from recsys.retrieval.source import Allowed, StoredSource
from recsys.training.conditional_logit import LogitExamples, fit_conditional_logit
from recsys.training.plan import Progress

DEPTH = 100
"""Candidates of each source."""
COLD_SHARE = 0.3
"""Share of each case's candidates that are made new."""

FOLDS = 5
MAX_CASES = 5000
CASES_PER_BLOCK = 256
L2 = 0.03
"""Pull towards equal weights: chosen by cross-validation on MovieLens-100K among .001, .03, .1 and .3."""
L2_MISSING = 0.003
"""Pull towards 0 of the weights of missing scores: weak, for few candidates have any."""


@dataclass(frozen=True, slots=True, eq=False)
class FusionExamples:
    """Raw scores (cases, candidates, sources), and the column of each case's target (-1: it is no candidate).

    `real` (cases, candidates) is False on padding, and `as_new` has the scores (cases, candidates) that these would have if they
    were new, by sources that know new items by less.
    """

    names: tuple[str, ...]
    scores: NDArray[np.float32]
    real: NDArray[np.bool_]
    target: NDArray[np.int64]
    as_new: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def only(self, names: Sequence[str]) -> "FusionExamples":
        """The same candidates, scored by the sources `names`."""
        columns = [self.names.index(name) for name in names]
        as_new = {name: scores for name, scores in self.as_new.items() if name in names}
        return replace(self, names=tuple(names), scores=self.scores[..., columns], as_new=as_new)


def collect(
    sources: Mapping[str, StoredSource],
    cases: EvalCases,
    *,
    catalogue: Allowed,
    text: Vectors,
    include_seen: bool,
    seed: int,
) -> FusionExamples:
    """Candidates of up to `MAX_CASES` cases, among the rows that `catalogue` marks, with the scores of every source.

    It has to leave out items that are never targets: a fit would take them for what new items are. `text` (items, text_dim) are
    the text vectors.
    """
    generator = np.random.default_rng(seed)
    sample = np.sort(generator.permutation(len(cases))[:MAX_CASES])
    new = {name: source.as_new(np.arange(len(text)), text) for name, source in sources.items()}
    new = {name: source for name, source in new.items() if source is not sources[name]}
    rows, scores, new_scores = list[Any](), list[Any](), dict[str, list[Any]]({name: [] for name in new})
    parts = list(sources.values())
    for start in range(0, len(sample), CASES_PER_BLOCK):
        block = cases[sample[start : start + CASES_PER_BLOCK]]
        queries = [
            replace(query, allowed=query.allowed & catalogue)
            for query in over_catalogue(block, items=len(catalogue), include_seen=include_seen)
        ]
        candidates = gather(parts, queries, depth=DEPTH)
        rows.append(candidates)
        scores.append(np.stack([source.score(queries, candidates) for source in parts], axis=-1))
        for name, source in new.items():
            new_scores[name].append(source.score(queries, candidates))
    width = max(block.shape[1] for block in rows)
    padded: NDArray[np.int64] = np.concatenate([_pad(block, width, -1) for block in rows])
    hit = padded == cases.targets[sample][:, None]
    target = np.where(hit.any(axis=1), hit.argmax(axis=1), -1)
    return FusionExamples(
        names=tuple(sources),
        scores=_padded(scores, width),
        real=padded >= 0,
        target=target,
        as_new={name: _padded(blocks, width) for name, blocks in new_scores.items()},
    )


def simulate_cold_items(examples: FusionExamples, *, cold_scores: Mapping[str, float], seed: int) -> FusionExamples:
    """`examples` with a share of each case's candidates scored as if new, by the sources in `cold_scores` with what stands there.

    A new item is a candidate only where a source that does score it, by its text, has it among its best. Without such a
    source there are no new items, and nothing changes.
    """
    if all(name in cold_scores for name in examples.names):
        return examples
    cold = np.random.default_rng(seed).random(examples.real.shape) < COLD_SHARE
    scores, retrieved = examples.scores.copy(), np.zeros_like(cold)
    for i, name in enumerate(examples.names):
        if name in cold_scores:
            scores[cold, i] = cold_scores[name]
            continue
        if name in examples.as_new:
            scores[cold, i] = examples.as_new[name][cold]
        retrieved |= _among_best(scores[..., i])
    real = examples.real & (retrieved | ~cold)
    scores[~real] = np.nan
    has_target = real[np.arange(len(real)), examples.target] & (examples.target >= 0)
    return replace(examples, scores=scores, real=real, target=np.where(has_target, examples.target, -1))


@dataclass(frozen=True, slots=True, eq=False)
class FusionFeatures:
    """`FusionExamples` with the features in place of the scores: (cases, candidates, 3 * sources)."""

    names: tuple[str, ...]
    features: Features
    real: NDArray[np.bool_]
    target: NDArray[np.int64]

    @classmethod
    def of(cls, examples: FusionExamples) -> "FusionFeatures":
        x = stack([examples.scores[..., i] for i in range(len(examples.names))])
        return cls(examples.names, x, examples.real, examples.target)

    def only(self, names: Sequence[str]) -> "FusionFeatures":
        """The same cases, scored by the sources `names`."""
        columns = np.array([self.names.index(name) for name in names])
        x = joined(self.features[..., columns], self.features[..., len(self.names) + columns])
        return replace(self, names=tuple(names), features=x)

    def logit_examples(self, cases: NDArray[np.int64]) -> LogitExamples:
        """Those of `cases` whose target is a candidate, in ascending order and without padding."""
        chosen = np.zeros(len(self.target), dtype=np.bool_)
        chosen[cases] = self.target[cases] >= 0
        real = self.real & chosen[:, None]
        is_target = np.arange(self.real.shape[1]) == self.target[:, None]
        offsets = np.append(0, real.sum(axis=1)[chosen].cumsum())
        return LogitExamples(self.features[real], is_target[real].astype(np.float32), offsets)


def fit_fusion(masked: FusionFeatures, cases: NDArray[np.int64], *, l2: float = L2) -> NDArray[np.float32]:
    """Weights of the features, fitted on those of `cases` whose target is a candidate; equal ones if there are none."""
    count = len(masked.names)
    start, pull = (np.repeat(values, count) for values in ([2 / count, 0, 0], [l2, L2_MISSING, L2_MISSING]))
    return fit_conditional_logit(masked.logit_examples(cases), start=start, l2=pull).astype(np.float32)


def cross_validated(unmasked: FusionFeatures, masked: FusionFeatures, *, seed: int) -> NDArray[np.float64]:
    """NDCG@10 of each case of `unmasked`, from weights fitted on the other folds of `masked`."""
    folds = np.random.default_rng(seed).permutation(len(unmasked.target)) % FOLDS
    out = np.zeros(len(unmasked.target))
    for fold in range(FOLDS):
        cases = np.flatnonzero(folds == fold)
        out[cases] = quality(unmasked, fit_fusion(masked, np.flatnonzero(folds != fold)), cases)
    return out


def quality(unmasked: FusionFeatures, weights: NDArray[np.float32], cases: NDArray[np.int64]) -> NDArray[np.float64]:
    """NDCG@10 of the given cases; a target that is no candidate gets 0."""
    blended = np.where(unmasked.real[cases], unmasked.features[cases] @ weights, -np.inf)
    target = unmasked.target[cases]
    target_scores = np.take_along_axis(blended, np.maximum(target, 0)[:, None], axis=1)
    ranks = (blended > target_scores).sum(axis=1) + ((blended == target_scores).sum(axis=1) + 1) / 2
    return np.where(target >= 0, ndcg(ranks), 0.0)


def select_sources(
    examples: FusionExamples,
    *,
    always: Sequence[str],
    optional: Sequence[str],
    cold_scores: Mapping[str, float],
    seed: int,
    name: str = FUSION,
) -> Generator[Progress, None, tuple[Fusion, dict[str, Any]]]:
    """Yields progress of the part `name`; returns the fusion without those `optional` sources that lower cross-validated
    NDCG@10, and its figures on validation.

    `cold_scores` has the sources that cannot know a new item, with the score that they give it: NaN where they give none.
    A source is left out where it lowers the mean by more than the standard error of the difference: less is chance. The
    figures have for each optional source what the fusion gained with it over the same fusion fitted without it, paired by case.
    """
    names, gains, pace = list(always) + list(optional), dict[str, Interval](), Pace()
    examples = examples.only(names)
    unmasked = FusionFeatures.of(examples)
    masked = FusionFeatures.of(simulate_cold_items(examples, cold_scores=cold_scores, seed=seed))
    best = cross_validated(unmasked, masked, seed=seed)
    for member in optional:
        others = [other for other in names if other != member]
        reduced = unmasked.only(others), masked.only(others)
        without = cross_validated(*reduced, seed=seed)
        gain = best - without
        gains[member] = bootstrap(gain, seed=seed)
        if pace.is_due():
            yield Progress(name, f"with minus without {member}: {gains[member]}")
        if gain.mean() < -gain.std() / np.sqrt(len(gain)):
            (unmasked, masked), best, names = reduced, without, others
    weights = fit_fusion(masked, np.arange(len(masked.target)))
    left_out = {member: gain.mean for member, gain in gains.items() if member not in names}
    figures = {
        "validation_ndcg@10": float(best.mean()),
        "with_minus_without": {member: asdict(gain) for member, gain in gains.items()},
    }
    return Fusion(tuple(names), weights, DEPTH, {"left_out": left_out}), figures


def _among_best(scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each of the candidates (cases, candidates) is one of a source's `DEPTH` best of its case."""
    known = np.where(np.isnan(scores), -np.inf, scores)
    if scores.shape[1] <= DEPTH:
        return known > -np.inf
    last = -np.partition(-known, DEPTH - 1, axis=1)[:, DEPTH - 1 : DEPTH]
    return (known >= last) & (known > -np.inf)


def _padded(blocks: Sequence[NDArray[np.float32]], width: int) -> NDArray[np.float32]:
    return np.concatenate([_pad(block, width, np.nan) for block in blocks])


def _pad(block: NDArray[np.generic], width: int, value: float) -> NDArray[np.generic]:
    shape = [(0, 0), (0, width - block.shape[1]), *[(0, 0)] * (block.ndim - 2)]
    return np.pad(block, shape, constant_values=value)
