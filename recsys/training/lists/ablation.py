"""Ablation of a learned encoder: R-precision of continuations with it minus without it, on lists that no source has learned.

Both fusions are fitted on three quarters of the validation lists and measured on the fourth, each in turn. The encoder proposes
nothing of its own, so that both weigh the same candidates.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.data.continuation_cases import continuation_cases
from recsys.data.playlists import Playlists
from recsys.metrics.ranking import Interval, bootstrap, user_means
from recsys.retrieval.fusion import gather, stack
from recsys.retrieval.lists.sparse import LISTS_PER_BLOCK, ListQuery
from recsys.retrieval.source import Scores, Source
from recsys.training.lists.fusion import DEPTH, example, fit_weights, list_queries

SIZES = (1, 5, 10, 25)
"""Seed items."""
MAX_CASES_PER_SIZE = 300
FOLDS = 4
"""Of the cases; each fold is measured by weights fitted on the others."""


def marginal_gain(
    sources: Sequence[Source], source: Source, validation: Playlists, *, seed: int, depth: int = DEPTH
) -> Interval:
    """R-precision of continuations by `sources` and `source` minus that by `sources` alone, paired by list.

    All three numbers are NaN where the validation lists are too few.
    """
    parts, gains, lists = [*sources, source], list[NDArray[np.float64]](), list[NDArray[np.int64]]()
    for size in SIZES:
        cases = continuation_cases(validation, seeds=size, order="sensitive", seed=seed).first(MAX_CASES_PER_SIZE)
        if len(cases) < FOLDS:
            continue
        candidates = _candidates(parts, list_queries(cases, items=validation.data.items), depth=depth)
        with_, without = (_r_precision(candidates, cases.targets, sources=n) for n in (len(parts), len(parts) - 1))
        gains.append(with_ - without)
        lists.append(cases.numbers)
    if not gains:
        return bootstrap(np.empty(0))
    return bootstrap(user_means(np.concatenate(gains), np.concatenate(lists)), seed=seed)


ScoredRows = tuple[NDArray[np.int64], Scores]
"""(rows, scores (sources, rows)) of one list."""


def _candidates(sources: Sequence[Source], queries: Sequence[ListQuery], *, depth: int) -> list[ScoredRows]:
    """The candidates of each list, without padding."""
    candidates = list[ScoredRows]()
    for start in range(0, len(queries), LISTS_PER_BLOCK):
        block = queries[start : start + LISTS_PER_BLOCK]
        padded = gather(sources, block, depth=depth)
        scores = np.stack([source.score(block, padded) for source in sources])
        candidates += [(rows[rows >= 0], scores[:, i, rows >= 0]) for i, rows in enumerate(padded)]
    return candidates


def _r_precision(
    candidates: Sequence[ScoredRows], withheld: Sequence[NDArray[np.int64]], *, sources: int
) -> NDArray[np.float64]:
    """R-precision of each list by the first `sources`, with weights fitted on the other folds."""
    x = [stack([raw[None] for raw in scores[:sources]])[0] for _, scores in candidates]
    examples = list(map(example, x, (rows for rows, _ in candidates), withheld))
    out = np.empty(len(candidates))
    for fold in range(FOLDS):
        others = [case for i, case in enumerate(examples) if case and i % FOLDS != fold]
        weights = fit_weights(others, sources=sources).values
        for i in range(fold, len(candidates), FOLDS):
            best = candidates[i][0][np.argsort(-(x[i] @ weights), kind="stable")[: len(withheld[i])]]
            out[i] = np.isin(best, withheld[i]).sum() / len(withheld[i])
    return out
