"""Evaluation cases: histories and the items that followed them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from features.splits import TEST, VALIDATION
from recsys.data.dataset import Dataset
from recsys.data.feedback import speaking
from recsys.data.history import History, Rows

CASES_PER_BLOCK, SCORES_PER_BLOCK = 256, 8_000_000
"""Bounds on the cases that are ranked at once, and on their scores."""


@dataclass(frozen=True, slots=True, eq=False)
class EvalCases:
    """Case i: `users[i]`, who had done `histories[i]`, did `targets[i]` next.

    The last `open_events[i]` events of the history are of the session in which the target was done, and nothing else is known of
    it; with `leave_out_open` their items are left out of answers.
    """

    users: tuple[str, ...]
    histories: tuple[History, ...]
    targets: Rows
    open_events: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    leave_out_open: bool = False

    def __post_init__(self) -> None:
        if len(self.open_events) != len(self.targets):
            object.__setattr__(self, "open_events", np.zeros(len(self.targets), dtype=np.int64))

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, chosen: slice | NDArray[np.int64]) -> "EvalCases":
        """The `chosen` cases."""
        numbers = np.arange(len(self))[chosen]
        return replace(
            self,
            users=tuple(self.users[i] for i in numbers),
            histories=tuple(self.histories[i] for i in numbers),
            targets=self.targets[numbers],
            open_events=self.open_events[numbers],
        )

    def blocks(self, *, items: int) -> Iterator["EvalCases"]:
        """All cases in their order, in blocks small enough to have a score of each of so many items in memory."""
        size = min(CASES_PER_BLOCK, max(1, SCORES_PER_BLOCK // max(1, items)))
        return (self[start : start + size] for start in range(0, len(self), size))

    def sample(self, size: int, *, seed: int) -> "EvalCases":
        """At most `size` of the cases, in their order."""
        return self[np.sort(np.random.default_rng(seed).permutation(len(self))[:size])]

    def without_sessions(self) -> "EvalCases":
        """The same, asked without the session of the target."""
        return replace(self, open_events=np.zeros(len(self), dtype=np.int64))

    @property
    def repeats(self) -> NDArray[np.bool_]:
        """(cases,): was the target in the history already?"""
        pairs = zip(self.targets, self.histories, strict=True)
        return np.array([target in history.rows for target, history in pairs], dtype=np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """`fit` and `validation` choose settings; a model refitted on `refit` with those settings is measured on `test`."""

    fit: Dataset
    validation: EvalCases
    refit: Dataset
    test: EvalCases


def split_by_fold(dataset: Dataset) -> Split:
    """The data set by its folds."""
    return Split(
        fit=dataset.keep(dataset.folds < VALIDATION).speaking(),
        validation=_cases(dataset, fold=VALIDATION),
        refit=dataset.keep(dataset.folds < TEST).speaking(),
        test=_cases(dataset, fold=TEST),
    )


def _cases(dataset: Dataset, *, fold: int) -> EvalCases:
    """One case per target of the fold, with what its user had done before it as history."""
    events = np.flatnonzero((dataset.folds == fold) & dataset.targets)
    users = np.searchsorted(dataset.starts, events, side="right") - 1
    histories = tuple(
        _history(dataset, slice(start, event)) for start, event in zip(dataset.starts[users], events, strict=True)
    )
    sessions = dataset.sessions[events]
    return EvalCases(
        users=tuple(dataset.users[user] for user in users),
        histories=histories,
        targets=dataset.rows[events],
        open_events=np.array(
            [history.events_of_session(session) for history, session in zip(histories, sessions, strict=True)],
            dtype=np.int64,
        ),
        leave_out_open=dataset.signals.leave_out_open,
    )


def _history(data: Dataset, span: slice) -> History:
    return speaking(data.rows[span], data.at[span], data.values[span], data.explicit[span], data.sessions[span])
