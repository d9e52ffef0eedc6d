"""Frozen list vectors, asked by small classifiers: which encoder has kept what, with intervals."""

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from features.splits import FIT
from recsys.data.playlists import Playlists
from recsys.evaluation.metrics import Interval, bootstrap
from recsys.evaluation.probes import Probe, category_numbers, probes
from recsys.retrieval.lists.encoder import ListEncoder

SEEDS = (0, 1, 2, 3, 4)
HIDDEN = 200
TUNED = 1 / 9
"""Share of the lists that encoders learned from that classifiers are tuned on: with a tenth tested, 80 / 10 / 10."""

NEAREST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """How well one encoder's vectors answer one question: share of right answers over the tested lists, mean of the seeds.

    `spread` is the standard deviation over seeds of the better classifier, whose name stands in `by`.
    """

    encoder: str
    probe: str
    accuracy: Interval
    spread: float
    chance: float
    lists: int
    by: str
    logistic: float
    layer: float


def probe_all(
    encoders: Mapping[str, ListEncoder],
    lists: Playlists,
    *,
    attribute: str | None,
    seeds: tuple[int, ...] = SEEDS,
    only: str | None = None,
) -> Iterator[Probed]:
    """One row for each question (or for `only` that one) and encoder; categories are those of `attribute`."""
    category = category_numbers(lists, attribute) if attribute else None
    unseen = lists.folds > FIT
    asked = [probes(lists, category=category, seed=seed) for seed in seeds]
    for number, first in enumerate(asked[0]):
        if only not in (None, first.name):
            continue
        for name, encoder in encoders.items():
            runs = [_run(encoder, found[number], unseen, seed=seed) for seed, found in zip(seeds, asked, strict=True)]
            yield _row(name, first, runs, lists=len(lists))


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One seed: right or not for each tested list, by classifier, and whose list it was."""

    right: dict[str, NDArray[np.float64]]
    tuned: dict[str, float]
    owner: NDArray[np.int64]


def _run(encoder: ListEncoder, probe: Probe, unseen: NDArray[np.bool_], *, seed: int) -> _Run:
    vectors = encoder.encode(probe.lists)
    tested = unseen[probe.owner]
    drawn = np.random.default_rng(seed).random(len(unseen)) < TUNED
    tuning = drawn[probe.owner] & ~tested
    fitted = ~tested & ~tuning
    scale = StandardScaler().fit(vectors[fitted])
    x, y = scale.transform(vectors), probe.labels
    right, tuned = {}, {}
    for name, tried in _classifiers(seed).items():
        models = [_fit(model, x[fitted], y[fitted]) for model in tried]
        scores = [float(model.score(x[tuning], y[tuning])) for model in models]
        best = int(np.argmax(scores))
        right[name], tuned[name] = (models[best].predict(x[tested]) == y[tested]).astype(np.float64), scores[best]
    return _Run(right, tuned, probe.owner[tested])


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
        logistic=float(np.mean(means["logistic"])),
        layer=float(np.mean(means["layer"])),
    )


def _ratio(right: NDArray[np.float64], asked: NDArray[np.float64], *, seed: int = 0) -> Interval:
    """Right answers over questions, with lists drawn anew: a list is asked several times, and its answers go together."""
    mean = float(right.sum() / asked.sum())
    linear = (right - mean * asked) / asked.mean()  # the ratio's influence of each list
    spread = bootstrap(linear, seed=seed)
    return Interval(mean, mean + spread.low, mean + spread.high)


def nearest_precision(
    encoder: ListEncoder, probe: Probe, unseen: NDArray[np.bool_], *, nearest: int = NEAREST
) -> tuple[Interval, float]:
    """(share of a list's nearest lists with its label, what the classes' shares give): for lists that were not learned."""
    vectors = encoder.encode(probe.lists)
    asked = np.flatnonzero(unseen[probe.owner])
    scores = vectors[asked] @ vectors.T
    scores[np.arange(len(asked)), asked] = -np.inf
    k = min(nearest, len(vectors) - 1)
    found = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    equal = (probe.labels[found] == probe.labels[asked][:, None]).mean(axis=1)
    shares = np.bincount(probe.labels) / len(probe.labels)
    return bootstrap(equal), float(shares[probe.labels[asked]].mean())


def save_probes(rows: list[Probed], folder: Path) -> Path:
    """Writes `probes.json` and gives its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "probes.json"
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    return path
