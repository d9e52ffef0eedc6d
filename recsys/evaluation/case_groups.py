"""Cases by what their target and history are: repeats and new items, history lengths, popularity of the target."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from recsys.data.splits import EvalCases
from recsys.metrics.ranking import Allowed

FEW_CASES = 100
"""Below this many cases a figure says little."""

MOST_POPULAR = 0.01
"""Share of the catalogue that counts as most popular."""

REPEAT = "repeat"
LENGTHS = {"1 to 4": (1, 5), "5 to 9": (5, 10), "10 to 19": (10, 20), "20 to 49": (20, 50), "50 and more": (50, None)}
POPULARITY = {
    "the most popular 1 %": (0.0, MOST_POPULAR),
    "the next 9 %": (MOST_POPULAR, 0.1),
    "the next 40 %": (0.1, 0.5),
    "the other half": (0.5, 1.0),
}

Groups = Iterable[tuple[str, str, Allowed]]
"""(what the cases are grouped by, the group, which cases are in it)."""


def most_popular(counts: NDArray[np.int64]) -> Allowed:
    """(items,) which are the 1 % with most events, at least one item."""
    return popularity_ranks(counts) < max(MOST_POPULAR, 1 / len(counts))


def popularity_ranks(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """(items,) the share of the catalogue that is more popular than each item."""
    ranks = np.empty(len(counts))
    ranks[np.argsort(-counts, kind="stable")] = np.arange(len(counts)) / len(counts)
    return ranks


def repeats(cases: EvalCases) -> Allowed:
    """(cases,) whose target is in the history."""
    pairs = zip(cases.histories, cases.targets, strict=True)
    return np.array([bool((history.rows == target).any()) for history, target in pairs], dtype=np.bool_)


def case_groups(cases: EvalCases, counts: NDArray[np.int64]) -> Iterator[tuple[str, str, Allowed]]:
    """The groups in the order of a report; `counts` (items,) are the events that each item was learned from."""
    is_repeat = repeats(cases)
    yield "target", REPEAT, is_repeat
    yield "target", "new to the user", ~is_repeat
    lengths = np.array([len(history) for history in cases.histories], dtype=np.int64)
    yield "history", "empty", lengths == 0
    for name, (low, high) in LENGTHS.items():
        yield "history", name, (lengths >= low) & (lengths < (high or np.inf))
    share, learned = popularity_ranks(counts)[cases.targets], counts[cases.targets] > 0
    for name, (start, end) in POPULARITY.items():
        yield "popularity", name, learned & (share >= start) & (share < end)
    yield "popularity", "never seen in training", ~learned
