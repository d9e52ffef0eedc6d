"""Fits the weights of a fusion on validation cases, and says which part does not earn its place.

A conditional logit: among one query's candidates the true next item should score highest. A share of cases hides the
target from the sources of ids, so that the fit learns what their silence means and cold items are not buried.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from recsys.data.cases import Cases
from recsys.evaluation.metrics import ndcg
from recsys.ranking.filters import over_catalogue
from recsys.retrieval.fusion import Fusion, gather, stack
from recsys.retrieval.source import Source

DEPTH = 100
HIDDEN = 0.1
FOLDS = 5
MAX_CASES = 5000
RIDGE = 0.03
"""Pull towards equal weights: chosen by cross-validation on MovieLens-100K among .001, .03, .1 and .3."""


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


def collect(sources: Mapping[str, Source], cases: Cases, *, items: int, include_seen: bool, seed: int) -> FusionData:
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


def fit_fusion(data: FusionData, *, blind: Sequence[str], seed: int, ridge: float = RIDGE) -> NDArray[np.float32]:
    """Weights of the features of `data.names`; `blind` names the sources that cannot know a new item."""
    usable = np.flatnonzero(data.target >= 0)
    x = _features(data)[usable]
    hidden = np.random.default_rng(seed).random(len(usable)) < HIDDEN
    x[hidden] = _hide(data, usable[hidden], blind)
    count = len(data.names)
    features, target = torch.from_numpy(x), torch.from_numpy(data.target[usable])
    real = torch.from_numpy(data.real[usable])
    start = torch.cat([torch.full((count,), 2 / count), torch.zeros(count)])
    weights = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        logits = (features @ weights).masked_fill(~real, -torch.inf)
        loss = torch.nn.functional.cross_entropy(logits, target) + ridge * ((weights - start) ** 2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach().numpy()


def cross_validated(data: FusionData, *, blind: Sequence[str], seed: int) -> NDArray[np.float64]:
    """NDCG@10 of each case, from weights fitted on the other folds."""
    fold = np.random.default_rng(seed).permutation(len(data.target)) % FOLDS
    out = np.zeros(len(data.target))
    for held in range(FOLDS):
        rest = FusionData(data.names, data.scores[fold != held], data.real[fold != held], data.target[fold != held])
        out[fold == held] = quality(data, fit_fusion(rest, blind=blind, seed=seed), np.flatnonzero(fold == held))
    return out


def quality(data: FusionData, weights: NDArray[np.float32], cases: NDArray[np.int64]) -> NDArray[np.float64]:
    """NDCG@10 of the given cases; a target that is no candidate gets 0."""
    blended = np.where(data.real[cases], _features(data, cases) @ weights, -np.inf)
    target = data.target[cases]
    own = np.take_along_axis(blended, np.maximum(target, 0)[:, None], axis=1)
    ranks = (blended > own).sum(axis=1) + ((blended == own).sum(axis=1) + 1) / 2
    return np.where(target >= 0, ndcg(ranks), 0.0)


def choose(
    data: FusionData, *, always: Sequence[str], optional: Sequence[str], blind: Sequence[str], seed: int
) -> tuple[Fusion, dict[str, float]]:
    """The fusion without those `optional` sources that lower cross-validated NDCG@10, and what each of these cost."""
    names, left_out = list(always) + list(optional), dict[str, float]()
    best = cross_validated(data.only(names), blind=blind, seed=seed).mean()
    for name in optional:
        rest = [other for other in names if other != name]
        without = cross_validated(data.only(rest), blind=blind, seed=seed).mean()
        if without > best:
            left_out[name] = float(best - without)
            names, best = rest, without
    weights = fit_fusion(data.only(names), blind=blind, seed=seed)
    about = {"validation_ndcg@10": float(best), "left_out": left_out}
    return Fusion(tuple(names), weights, DEPTH, about), left_out


def _features(data: FusionData, cases: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.float32]:
    scores = data.scores[cases]
    return stack([scores[..., i] for i in range(len(data.names))])


def _hide(data: FusionData, cases: NDArray[np.int64], blind: Sequence[str]) -> NDArray[np.float32]:
    """The features of `cases` as if their target were new to the `blind` sources."""
    scores = data.scores[cases].copy()
    for i, name in enumerate(data.names):
        if name in blind:
            scores[np.arange(len(cases)), data.target[cases], i] = np.nan
    return stack([scores[..., i] for i in range(len(data.names))])


def _pad(block: NDArray[np.generic], width: int, value: float) -> NDArray[np.generic]:
    shape = [(0, 0), (0, width - block.shape[1]), *[(0, 0)] * (block.ndim - 2)]
    return np.pad(block, shape, constant_values=value)
