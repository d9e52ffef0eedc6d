"""What a user takes again, and when it is due: counters of each item of the history, scored by a conditional logit.

A counter falls exponentially on three clocks, of events, sessions and days, at three time constants each, and rises with each
event: E <- E exp(-dt / t) + weight. Sums of exponentials stand in for the power laws of memory.

Sources: Hu et al., Modeling personalized item frequency information (arXiv:2006.00556) for decay by basket; Anderson and
Schooler, Reflections of the environment in memory (1991) for the laws of frequency, recency and spacing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.dataset import Dataset
from recsys.data.history import NO_ROWS, History, Rows
from recsys.errors import check_ranges
from recsys.indexes.index import empty_result, top_k, write_row
from recsys.retrieval.explanation import Explanation, Reason
from recsys.retrieval.source import Candidates, Query, Scores, StoredSource

Numbers = NDArray[np.float64]

CONSTANTS = {"events": (5.0, 30.0, 200.0), "sessions": (2.0, 10.0, 40.0), "days": (2.0, 14.0, 90.0)}
"""Time constants of the counters by clock."""
DAY = 86_400.0
SMALLEST = 1e-6
"""Added to counters before their logarithm is taken."""
MEAN_REPEATS = 20.0
"""Events of an item that weigh as much as the mean of all in its repeat rate."""

FEATURES = (
    "times",
    *(f"counter of {constant:g} {clock}" for clock, constants in CONSTANTS.items() for constant in constants),
    *(f"{clock} since" for clock in CONSTANTS),
    "overdue",
    "off the usual gap",
    "came once",
    "in the open session",
    "repeat rate",
    "popularity",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalConfig:
    """`cases` sessions are learned from, by their last event against the other items of its user's history. `pull` draws the
    weights to the score by hand, own counts that fall with each session; the last `window` events of a history count.
    """

    cases: int = 8000
    pull: float = 0.3
    window: int = 2000

    def __post_init__(self) -> None:
        check_ranges(self, cases=(1, inf), pull=(1e-9, inf), window=(1, inf))


@dataclass(frozen=True, slots=True, eq=False)
class Counters:
    """What a history says of each of its distinct `items`: `features` (items, own features), see `FEATURES`."""

    items: Rows
    features: NDArray[np.float32]


def counters(history: History, *, open_events: int) -> Counters:
    """The counters of a non-empty history before its next event; `open_events` at its end are of the session that goes on.

    The clock of events stands at their number, that of sessions at the open one, or the next, and that of days at the last event.
    """
    items, item = np.unique(history.rows, return_inverse=True)
    session = np.unique(history.sessions, return_inverse=True)[1]
    ages = {
        "events": np.arange(len(history), 0, -1.0),
        "sessions": session[-1] - session + (open_events == 0),
        "days": (history.at[-1] - history.at) / DAY,  # NaN where a time is not known
    }
    times = np.bincount(item)
    columns: list[NDArray[Any]] = [np.log(times)]
    for clock, constants in CONSTANTS.items():
        counted = decayed_counts(item, ages[clock], history.weights, np.array(constants))
        columns += list(np.log(SMALLEST + counted).T)
    last = np.zeros(len(items), dtype=np.int64)
    last[item] = np.arange(len(item))  # of several assignments the last one stays
    columns += [np.nan_to_num(np.log1p(ages[clock][last])) for clock in CONSTANTS]
    columns += _spacing(session, item, since=ages["sessions"][last], times=times)
    columns.append(last >= len(history) - open_events)
    return Counters(items, np.stack(columns, axis=1).astype(np.float32))


def decayed_counts(item: Rows, ages: Numbers, weights: Numbers, constants: Numbers) -> Numbers:
    """(items, constants): sums of the weights of each item's events, fallen by their `ages` (events,); NaN: it does not count.

    `item` (events,) numbers the items from 0.
    """
    weighted = np.nan_to_num(weights[:, None] * decay(ages, constants))
    return np.stack([np.bincount(item, weights=column) for column in weighted.T], axis=1)


def updated(counts: Numbers, elapsed: Numbers, weights: Numbers, constants: Numbers) -> Numbers:
    """The counts (items, constants) after one event more of each item: E <- E exp(-elapsed / t) + weight.

    They stood so at the event before, `elapsed` (items,) ago; a weight of 0 only moves the clock. Events one after the other give
    what `decayed_counts` gives at once.
    """
    return counts * decay(elapsed, constants) + weights[:, None]


def decay(elapsed: Numbers, constants: Numbers) -> Numbers:
    """(times, constants): what is left of a count after each time."""
    return np.exp(-elapsed[:, None] / constants)


def _spacing(
    session: NDArray[np.int64], item: NDArray[np.int64], *, since: NDArray[np.float64], times: NDArray[np.int64]
) -> list[NDArray[Any]]:
    """The logarithm of sessions since over the usual gap, its size, and whether there is no gap yet."""
    first, last = np.full(len(times), len(session)), np.zeros(len(times), dtype=np.int64)
    np.minimum.at(first, item, session)
    np.maximum.at(last, item, session)
    once = times == 1
    gap = np.where(once, 1, (last - first) / np.maximum(times - 1, 1))
    overdue = np.where(once, 0, np.log((since + 0.5) / (gap + 0.5)))
    return [overdue, np.abs(overdue), once]


class PersonalSource(StoredSource):
    """Scores the items of a history by `weights` (features,) of their counters; never consumed ones have no score.

    `popularity` and `repeat_rate` (items,) are what training knew of each item.
    """

    kind = "personal"

    def __init__(
        self,
        weights: NDArray[np.float64],
        *,
        popularity: NDArray[np.float32],
        repeat_rate: NDArray[np.float32],
        config: dict[str, Any],
    ) -> None:
        self.weights, self.popularity, self.repeat_rate, self.config = weights, popularity, repeat_rate, config

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        """The allowed items of each history, those that are due first."""
        result = empty_result(len(queries), k=k)
        for i, query in enumerate(queries):
            items, scores = self._scored(query)
            allowed = items < len(query.allowed)
            allowed[allowed] = query.allowed[items[allowed]]
            write_row(result, i, *top_k(items[allowed], scores[allowed], k=k))
        return Candidates(*result)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:
        """Scores of `rows`; NaN where the item is not in the history."""
        out = np.full(rows.shape, np.nan, dtype=np.float32)
        for i, query in enumerate(queries):
            items, scores = self._scored(query)
            if len(items):
                position = np.minimum(np.searchsorted(items, rows[i]), len(items) - 1)
                out[i] = np.where(items[position] == rows[i], scores[position], np.nan)
        return out

    def explain(self, query: Query, rows: Rows) -> list[Explanation]:
        """The item itself, by how often it came."""
        items, times = np.unique(query.history.rows, return_counts=True)
        count = dict(zip(items.tolist(), times.tolist(), strict=True))
        return [(Reason(row, float(count[row])),) if row in count else () for row in rows.tolist()]

    def _scored(self, query: Query) -> tuple[Rows, Scores]:
        history = query.history.last(self.config["window"])
        if not len(history):
            return NO_ROWS, np.zeros(0, dtype=np.float32)
        counted = counters(history, open_events=min(query.open_events, len(history)))
        return counted.items, (self.features(counted) @ self.weights).astype(np.float32)

    def features(self, counted: Counters) -> NDArray[np.float32]:
        """(items, features): the counters beside what is known of each item; an item that came later is as the mean."""
        known = counted.items < len(self.popularity)
        rows = np.where(known, counted.items, 0)
        of_item = [np.where(known, array[rows], array.mean()) for array in (self.repeat_rate, self.popularity)]
        return np.column_stack([counted.features, *of_item]).astype(np.float32)

    def part(self, name: str) -> Part:
        arrays: dict[str, NDArray[Any]] = {
            "coefficients": self.weights,
            "popularity": self.popularity,
            "repeat_rate": self.repeat_rate,
        }
        figures = {"weights": dict(zip(FEATURES, self.weights.round(4).tolist(), strict=True))}
        return Part(name=name, kind=self.kind, config=self.config, arrays=arrays, figures=figures)

    @classmethod
    def from_part(cls, part: Part) -> Self:
        a = part.arrays
        return cls(a["coefficients"], popularity=a["popularity"], repeat_rate=a["repeat_rate"], config=part.config)


def untrained(dataset: Dataset, config: PersonalConfig) -> PersonalSource:
    """The source with weights of 0, and what the data say of each item."""
    counts = dataset.counts()
    pairs = np.unique(dataset.owners * dataset.items + dataset.rows)
    first_times = np.bincount(pairs % dataset.items, minlength=dataset.items)
    mean = 1 - len(pairs) / max(len(dataset.rows), 1)
    rate = (counts - first_times + MEAN_REPEATS * mean) / (counts + MEAN_REPEATS)
    return PersonalSource(
        np.zeros(len(FEATURES)),
        popularity=np.log1p(counts).astype(np.float32),
        repeat_rate=np.log(np.clip(rate, 1e-3, 1 - 1e-3) / (1 - np.clip(rate, 1e-3, 1 - 1e-3))).astype(np.float32),
        config=asdict(config),
    )


def repeated_events(dataset: Dataset, *, cases: int, seed: int) -> Iterator[tuple[Query, int]]:
    """Last events of sessions, on items that their user had before, as questions with the row of the answer.

    One a session, for the lines of a basket have no order of choice; `cases` of them at random. Items of the open session are no
    candidates where people do not take items twice in one.
    """
    owners, generator = dataset.owners, np.random.default_rng(seed)
    again = np.ones(len(dataset.rows), dtype=np.bool_)
    again[np.unique(owners * dataset.items + dataset.rows, return_index=True)[1]] = False
    last_of_session = np.append(np.diff(dataset.sessions) != 0, True)
    events = generator.permutation(np.flatnonzero(again & last_of_session))[:cases]
    for event in np.sort(events).tolist():
        start, row = int(dataset.starts[owners[event]]), int(dataset.rows[event])
        history = dataset.history(int(owners[event])).select(slice(0, event - start))
        open_events = history.events_of_session(int(dataset.sessions[event]))
        allowed = np.zeros(dataset.items, dtype=np.bool_)
        allowed[history.rows] = True
        if dataset.signals.leave_out_open:
            allowed[history.rows[len(history) - open_events :]] = False
        if allowed[row] and allowed.sum() > 1:
            yield Query(history, allowed, open_events=open_events), row
