"""Frozen list vectors, asked by small classifiers: which encoder has kept what, with intervals."""

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
from recsys.retrieval.lists.encoder import ListEncoder

SEEDS = (0, 1, 2, 3, 4)
HIDDEN = 200
NEAREST = 100
"""Nearest lists of which it is asked whether they share a class with a list, at the most."""
SHARED = ("category", "length")
"""Questions whose classes nearest lists should share: each asked once more, as `recommendation, ...`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """How well one encoder's vectors answer one question: share of right answers over the tested lists, mean of the seeds.

    `spread` is the standard deviation over seeds of the better classifier, whose name stands in `by`. A recommendation asks no
    classifier: by nearest lists, the share of them that are of a list's class.
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
    """One row for each question (or for `only` that one) and encoder, first those to classifiers, then those to nearest lists;
    categories are those of `attribute`.

    Classifiers learn from the lists that encoders learned from, are chosen on the validation lists, and answer for the test
    lists alone. A question that no list of one of these can be asked is left out.
    """
    category = category_numbers(lists, attribute) if attribute else None
    asked = [probes(lists, category=category, seed=seed) for seed in seeds]
    questions = [(number, first.name, _run) for number, first in enumerate(asked[0])]
    questions += [(n, f"recommendation, {name}", _nearest) for n, name, _ in questions if name in SHARED]
    for number, question, answer in questions:
        if only not in (None, question) or any(_lacking(found[number], lists.folds) for found in asked):
            continue
        for name, encoder in encoders.items():
            runs = [
                answer(encoder, found[number], lists.folds, seed=seed) for seed, found in zip(seeds, asked, strict=True)
            ]
            yield _row(name, replace(asked[0][number], name=question), runs, lists=len(lists))


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One seed: right or not (or which share is) for each tested list, by classifier, and whose list it was."""

    right: dict[str, NDArray[np.float64]]
    tuned: dict[str, float]
    owner: NDArray[np.int64]


def _lacking(probe: Probe, folds: NDArray[np.uint8]) -> bool:
    """Is there nothing to fit, to choose or to test a classifier on?"""
    return set(folds[probe.owner].tolist()) != {FIT, VALIDATION, TEST}


def _run(encoder: ListEncoder, probe: Probe, folds: NDArray[np.uint8], *, seed: int) -> _Run:
    vectors, fold = encoder.encode(probe.lists), folds[probe.owner]
    fitted, tuning, tested = fold == FIT, fold == VALIDATION, fold == TEST
    scale = StandardScaler().fit(vectors[fitted])
    x, y = scale.transform(vectors), probe.labels
    right, tuned = {}, {}
    for name, tried in _classifiers(seed).items():
        models = [_fit(model, x[fitted], y[fitted]) for model in tried]
        scores = [float(model.score(x[tuning], y[tuning])) for model in models]
        best = int(np.argmax(scores))
        right[name], tuned[name] = (models[best].predict(x[tested]) == y[tested]).astype(np.float64), scores[best]
    return _Run(right, tuned, probe.owner[tested])


def _nearest(encoder: ListEncoder, probe: Probe, folds: NDArray[np.uint8], *, seed: int) -> _Run:
    """Precision of what is nearest to each tested list among all lists of the question: the mean of precision at 1, 2, ...,
    `NEAREST`. Ties fall as `seed` draws them."""
    vectors = encoder.encode(probe.lists)
    tested = np.flatnonzero(folds[probe.owner] == TEST)
    scores = vectors[tested] @ vectors.T
    scores[np.arange(len(tested)), tested] = -np.inf
    drawn = np.random.default_rng(seed).permutation(len(vectors))
    nearest = drawn[np.argsort(-scores[:, drawn], axis=1, kind="stable")[:, : min(NEAREST, len(vectors) - 1)]]
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
    """The classifier that does best where it is tuned speaks for the encoder; intervals are over stored lists."""
    means = {by: [float(run.right[by].mean()) for run in runs] for by in runs[0].right}
    best = max(means, key=lambda by: float(np.mean([run.tuned[by] for run in runs])))
    owner = np.concatenate([run.owner for run in runs])
    right = np.concatenate([run.right[best] for run in runs])
    answered = np.bincount(owner, weights=right, minlength=lists).astype(np.float64)
    asked = np.bincount(owner, minlength=lists).astype(np.float64)
    held = asked > 0
    return Probed(
        encoder=name,
        probe=probe.name,
        accuracy=_ratio(answered[held], asked[held]),
        spread=float(np.std(means[best])),
        chance=probe.chance,
        lists=int(held.sum()),
        by=best,
        **{by: float(np.mean(means[by])) if by in means else None for by in ("logistic", "layer")},
    )


def _ratio(right: NDArray[np.float64], asked: NDArray[np.float64], *, seed: int = 0) -> Interval:
    """Right answers over questions, with lists drawn anew: a list is asked several times, and its answers go together."""
    mean = float(right.sum() / asked.sum())
    linear = (right - mean * asked) / asked.mean()  # the ratio's influence of each list
    spread = bootstrap(linear, seed=seed)
    return Interval(mean, mean + spread.low, mean + spread.high)


def save_probes(rows: list[Probed], folder: Path) -> Path:
    """Writes `probes.json` and gives its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "probes.json"
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    return path
