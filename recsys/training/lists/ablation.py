"""What a learned encoder adds to the continuation of lists: with minus without, on lists that no source has learned.

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
from recsys.training.lists.fusion import DEPTH, fitted, list_queries, told

SIZES = (1, 5, 10, 25)
"""Items shown."""
MOST = 300
"""Cases of each size."""
PARTS = 4
"""Of the cases, each of which is measured by what the others teach."""


def marginal_gain(
    sources: Sequence[Source], source: Source, validation: Playlists, *, seed: int, depth: int = DEPTH
) -> Interval:
    """R-precision of continuations by `sources` and `source` minus that by `sources` alone, paired by list.

    Without validation lists nothing is known, and all three numbers are NaN.
    """
    parts, gains, owners = [*sources, source], list[NDArray[np.float64]](), list[NDArray[np.int64]]()
    for size in SIZES:
        cases = continuation_cases(validation, seeds=size, order="sensitive", seed=seed).first(MOST)
        if len(cases) < PARTS:
            continue
        scored = _scored(parts, list_queries(cases, items=validation.data.items), depth=depth)
        with_, without = (_r_precision(scored, cases.withheld, sources=n) for n in (len(parts), len(parts) - 1))
        gains.append(with_ - without)
        owners.append(cases.numbers)
    if not gains:
        return bootstrap(np.empty(0))
    return bootstrap(user_means(np.concatenate(gains), np.concatenate(owners)), seed=seed)


Candidates = tuple[NDArray[np.int64], Scores]
"""(rows, scores (sources, rows)) of one list."""


def _scored(sources: Sequence[Source], queries: Sequence[ListQuery], *, depth: int) -> list[Candidates]:
    found = []
    for start in range(0, len(queries), LISTS_PER_BLOCK):
        block = queries[start : start + LISTS_PER_BLOCK]
        rows = gather(sources, block, depth=depth)
        scores = np.stack([source.score(block, rows) for source in sources])
        found += [(one[one >= 0], scores[:, i, one >= 0]) for i, one in enumerate(rows)]
    return found


def _r_precision(
    scored: Sequence[Candidates], withheld: Sequence[NDArray[np.int64]], *, sources: int
) -> NDArray[np.float64]:
    """Of each list by the first `sources`, whose weights the other parts of the lists taught."""
    x = [stack([one[None] for one in scores[:sources]])[0] for _, scores in scored]
    known = [told(*one) for one in zip(x, (rows for rows, _ in scored), withheld, strict=True)]
    out = np.empty(len(scored))
    for part in range(PARTS):
        weights = fitted([one for i, one in enumerate(known) if one and i % PARTS != part], sources=sources)
        for i in range(part, len(scored), PARTS):
            best = scored[i][0][np.argsort(-(x[i] @ weights), kind="stable")[: len(withheld[i])]]
            out[i] = np.isin(best, withheld[i]).sum() / len(withheld[i])
    return out
