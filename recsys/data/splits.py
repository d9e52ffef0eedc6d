"""Evaluation cases: histories and the items that followed them."""

from dataclasses import dataclass

import numpy as np

from features.splits import TEST, VALIDATION
from recsys.data.dataset import Dataset
from recsys.data.history import History, Rows


@dataclass(frozen=True, slots=True, eq=False)
class EvalCases:
    """Case i: `users[i]`, who had done `histories[i]`, did `targets[i]` next."""

    users: tuple[str, ...]
    histories: tuple[History, ...]
    targets: Rows

    def __len__(self) -> int:
        return len(self.targets)

    def sample(self, size: int, *, seed: int) -> "EvalCases":
        """At most `size` of the cases, in their order."""
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self))[:size])
        histories = tuple(self.histories[i] for i in chosen)
        return EvalCases(tuple(self.users[i] for i in chosen), histories, self.targets[chosen])


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
        fit=dataset.keep(dataset.folds < VALIDATION),
        validation=_cases(dataset, fold=VALIDATION),
        refit=dataset.keep(dataset.folds < TEST),
        test=_cases(dataset, fold=TEST),
    )


def _cases(dataset: Dataset, *, fold: int) -> EvalCases:
    """One case per event of the fold, with everything before it as history."""
    events = np.flatnonzero(dataset.folds == fold)
    users = np.searchsorted(dataset.starts, events, side="right") - 1
    starts = dataset.starts[users]
    histories = tuple(
        History(dataset.rows[start:event], dataset.at[start:event]) for start, event in zip(starts, events, strict=True)
    )
    return EvalCases(tuple(dataset.users[user] for user in users), histories, dataset.rows[events])
