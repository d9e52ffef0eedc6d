"""Probes list encoders: small classifiers on frozen list vectors, with confidence intervals."""

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from features.splits import FIT, TEST, VALIDATION
from recsys.data.playlists import Playlists
from recsys.evaluation.probes import Probe, category_numbers, probes
from recsys.metrics.ranking import Interval, bootstrap
from recsys.private_files import FOLDER, open_private
from recsys.retrieval.lists.encoder import ListEncoder

SEEDS = (0, 1, 2, 3, 4)
HIDDEN = 200
NEAREST = 100
"""The most neighbours of a list that are compared with its class."""
SHARED = ("category", "length")
"""Questions that are also scored by nearest lists, as `recommendation, ...`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """Accuracy of one encoder on one question: share of right answers over the test lists, mean over seeds.

    `by` names the better classifier, `spread` is the standard deviation of its accuracy over seeds. A `recommendation` question
    has no classifier (`by` is "nearest"): it measures the share of the nearest lists that have the list's class.
    """

    encoder: str
    probe: str
    accuracy: Interval
    spread: float
    chance: float
    lists: int
    by: str
    logistic: float | None
    layer: float | None


def probe_all(
    encoders: Mapping[str, ListEncoder],
    lists: Playlists,
    *,
    attribute: str | None,
    seeds: tuple[int, ...] = SEEDS,
    only: str | None = None,
) -> Iterator[Probed]:
    """Yields one row for each question (or for `only`) and encoder: first questions to classifiers, then to nearest lists.
    `attribute` gives the categories.

    Classifiers are fitted on the lists that the encoders learned from, selected on the validation lists and scored on the test
    lists. A question is left out where one of these three folds has no list for it.
    """
    category = category_numbers(lists, attribute) if attribute else None
    probes_by_seed = [probes(lists, category=category, seed=seed) for seed in seeds]
    questions = [(number, first.name, _run) for number, first in enumerate(probes_by_seed[0])]
    questions += [(n, f"recommendation, {name}", _nearest) for n, name, _ in questions if name in SHARED]
    for number, question, answer in questions:
        samples = [seed_probes[number] for seed_probes in probes_by_seed]
        if only not in (None, question) or any(_lacks_fold(probe, lists.folds) for probe in samples):
            continue
        for name, encoder in encoders.items():
            runs = [answer(encoder, probe, lists.folds, seed=seed) for seed, probe in zip(seeds, samples, strict=True)]
            yield _row(name, replace(samples[0], name=question), runs, lists=len(lists))


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One seed: `right` (tested,) is a 0/1 score or a share, `tuned` the validation accuracy, both by classifier."""

    right: dict[str, NDArray[np.float64]]
    tuned: dict[str, float]
    owner: NDArray[np.int64]


def _lacks_fold(probe: Probe, folds: NDArray[np.uint8]) -> bool:
    """Is there no list to fit, to select or to test a classifier on?"""
    return set(folds[probe.owner].tolist()) != {FIT, VALIDATION, TEST}


def _run(encoder: ListEncoder, probe: Probe, folds: NDArray[np.uint8], *, seed: int) -> _Run:
    vectors, fold = encoder.encode(probe.lists), folds[probe.owner]
    fitted, tuning, tested = fold == FIT, fold == VALIDATION, fold == TEST
    scale = StandardScaler().fit(vectors[fitted])
    x, y = scale.transform(vectors), probe.labels
    right, tuned = {}, {}
    for name, candidates in _classifiers(seed).items():
        models = [_fit(model, x[fitted], y[fitted]) for model in candidates]
        scores = [float(model.score(x[tuning], y[tuning])) for model in models]
        best = int(np.argmax(scores))
        right[name], tuned[name] = (models[best].predict(x[tested]) == y[tested]).astype(np.float64), scores[best]
    return _Run(right, tuned, probe.owner[tested])


def _nearest(encoder: ListEncoder, probe: Probe, folds: NDArray[np.uint8], *, seed: int) -> _Run:
    """Scores each tested list by the mean of precision at 1, 2, ..., `NEAREST` over its nearest lists of the question.
    `seed` breaks ties."""
    vectors = encoder.encode(probe.lists)
    tested = np.flatnonzero(folds[probe.owner] == TEST)
    scores = vectors[tested] @ vectors.T
    scores[np.arange(len(tested)), tested] = -np.inf
    shuffled = np.random.default_rng(seed).permutation(len(vectors))
    nearest = shuffled[np.argsort(-scores[:, shuffled], axis=1, kind="stable")[:, : min(NEAREST, len(vectors) - 1)]]
    equal = probe.labels[nearest] == probe.labels[tested, None]
    precision = equal.cumsum(axis=1) / np.arange(1, nearest.shape[1] + 1)
    return _Run({"nearest": precision.mean(axis=1)}, {"nearest": 0.0}, probe.owner[tested])


def _classifiers(seed: int) -> dict[str, list[LogisticRegression | MLPClassifier]]:
    layer = MLPClassifier(
        (HIDDEN,), alpha=1e-3, early_stopping=True, max_iter=40, n_iter_no_change=5, random_state=seed
    )
    return {"logistic": [LogisticRegression(C=c, max_iter=200) for c in (0.003, 0.1)], "layer": [layer]}


def _fit(
    model: LogisticRegression | MLPClassifier, x: NDArray[np.float32], y: NDArray[np.int64]
) -> LogisticRegression | MLPClassifier:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # an unfinished fit is a smoother one
        return model.fit(x, y)


def _row(name: str, probe: Probe, runs: list[_Run], *, lists: int) -> Probed:
    """Reports the classifier with the best validation accuracy; intervals are over stored lists."""
    means = {by: [float(run.right[by].mean()) for run in runs] for by in runs[0].right}
    best = max(means, key=lambda by: float(np.mean([run.tuned[by] for run in runs])))
    owner = np.concatenate([run.owner for run in runs])
    right = np.concatenate([run.right[best] for run in runs])
    right_counts = np.bincount(owner, weights=right, minlength=lists).astype(np.float64)
    counts = np.bincount(owner, minlength=lists).astype(np.float64)
    is_tested = counts > 0
    return Probed(
        encoder=name,
        probe=probe.name,
        accuracy=_ratio(right_counts[is_tested], counts[is_tested]),
        spread=float(np.std(means[best])),
        chance=probe.chance,
        lists=int(is_tested.sum()),
        by=best,
        **{by: float(np.mean(means[by])) if by in means else None for by in ("logistic", "layer")},
    )


def _ratio(right: NDArray[np.float64], counts: NDArray[np.float64], *, seed: int = 0) -> Interval:
    """Share of right answers, bootstrapped over lists, since the several answers of one list are not independent."""
    mean = float(right.sum() / counts.sum())
    linear = (right - mean * counts) / counts.mean()  # the ratio's influence of each list
    spread = bootstrap(linear, seed=seed)
    return Interval(mean, mean + spread.low, mean + spread.high)


def save_probes(rows: list[Probed], folder: Path) -> Path:
    """Writes `probes.json` and returns its path."""
    folder.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    path = folder / "probes.json"
    with open_private(path, encoding="utf-8") as file:
        json.dump([asdict(row) for row in rows], file, indent=1)
    return path
