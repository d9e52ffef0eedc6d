"""Fits how the counters of a history say what comes again: of its items, the one that came should score highest."""

import numpy as np

from recsys.data.dataset import Dataset
from recsys.errors import TrainingError
from recsys.retrieval.personal import FEATURES, PersonalConfig, PersonalSource, counters, repeated_events, untrained
from recsys.training.conditional_logit import LogitExamples, fit_conditional_logit

SMALLEST_SPREAD = 1e-5
"""Standard deviation from which on a feature tells items apart."""
PRIOR = np.array([name == "counter of 10 sessions" for name in FEATURES])
"""The feature that alone is the usual score by hand: own counts, falling by .9 a session."""


def fit_personal(dataset: Dataset, config: PersonalConfig, *, seed: int) -> PersonalSource:
    """The source fitted on events of the data set, each with what its user had done before.

    Raises:
        TrainingError: nobody came back to an item.
    """
    source = untrained(dataset, config)
    examples = personal_examples(source, dataset, config, seed=seed)
    if not len(examples):
        raise TrainingError("nobody had an item twice: there is no repetition to learn")
    spread = examples.features.std(axis=0, dtype=np.float64)
    spread[spread < SMALLEST_SPREAD] = np.inf  # one value for all, such as a clock that stands still
    standard = LogitExamples((examples.features / spread).astype(np.float32), examples.shares, examples.offsets)
    count = examples.features.shape[1]
    start = np.where(PRIOR & np.isfinite(spread), spread, 0.0)
    weights = fit_conditional_logit(standard, start=start, l2=np.full(count, config.pull))
    return PersonalSource(
        weights / spread, popularity=source.popularity, repeat_rate=source.repeat_rate, config=source.config
    )


def personal_examples(source: PersonalSource, dataset: Dataset, config: PersonalConfig, *, seed: int) -> LogitExamples:
    """A case for each of `config.cases` repeated events, with the features of all items that might have come."""
    features, shares = list[np.ndarray](), list[np.ndarray]()
    for query, target in repeated_events(dataset, cases=config.cases, seed=seed):
        counted = counters(query.history.last(config.window), open_events=min(query.open_events, config.window))
        candidates = query.allowed[counted.items]
        is_target = counted.items[candidates] == target
        if is_target.any():  # else it came last before the window
            features.append(source.features(counted)[candidates])
            shares.append(is_target.astype(np.float32))
    offsets = np.cumsum([0, *map(len, shares)])
    if not features:
        return LogitExamples(np.zeros((0, 0), np.float32), np.zeros(0, np.float32), offsets)
    return LogitExamples(np.concatenate(features), np.concatenate(shares), offsets)
