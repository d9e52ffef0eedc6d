"""The protocol of every peer: settings and epochs chosen on validation, then the last event of each user ranked once.

Run by the Python of the peer, never by ours: numpy is all that it needs.
"""

import argparse
import json
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Settings = Mapping[str, Any]

VALIDATION, TEST = 1, 2
CUTOFF = 10
PATIENCE = 4
"""A training ends after so many epochs without a better validation figure."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Events:
    """Events (events,) in the order of each user: user, item and session as numbers, 0 on.

    Items of 0 to `items - 1` are the whole catalogue; `vectors` (items, dim) are those of its texts. Where items repeat
    (`include_seen`), a user may be given items of the history, but not those of the session that the target belongs to.
    """

    user: Ids
    item: Ids
    session: Ids
    fold: Ids
    items: int
    include_seen: bool
    vectors: NDArray[np.float32]

    @classmethod
    def load(cls, path: Path) -> "Events":
        stored = np.load(path)
        arrays = {name: stored[name] for name in ("user", "item", "session", "fold", "vectors")}
        return cls(items=int(stored["items"]), include_seen=bool(stored["include_seen"]), **arrays)

    def select(self, keep: NDArray[np.bool_]) -> "Events":
        return replace(
            self, user=self.user[keep], item=self.item[keep], session=self.session[keep], fold=self.fold[keep]
        )

    def age(self) -> Ids:
        """(events,) how many events of the same user came later."""
        _, last = np.unique(self.user[::-1], return_index=True)
        ends = len(self.user) - 1 - last
        return ends[np.unique(self.user, return_inverse=True)[1]] - np.arange(len(self.user))


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What is learned from, the users that are asked (by number, ascending) and the item that comes next for each."""

    events: Events
    users: Ids
    targets: Ids
    sessions: Ids

    @classmethod
    def of(cls, events: Events, fold: int) -> "Question":
        target = events.fold == fold
        return cls(events.select(events.fold < fold), events.user[target], events.item[target], events.session[target])

    def seen(self) -> list[Ids]:
        """For each user the items that may not be recommended: of the open session where items repeat, else all."""
        events, out = self.events, []
        starts = np.searchsorted(events.user, self.users)
        ends = np.searchsorted(events.user, self.users, side="right")
        for start, end, session in zip(starts, ends, self.sessions, strict=True):
            barred = events.session[start:end] == session if events.include_seen else np.ones(end - start, dtype=bool)
            out.append(events.item[start:end][barred])
        return out

    def best(self, scores: NDArray[np.float32]) -> Ids:
        """The best allowed items (users, CUTOFF) by `scores` (users, items), -1 where there are no more."""
        scores = scores.copy()
        for row, barred in zip(scores, self.seen(), strict=True):
            row[barred] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, :CUTOFF]
        return np.where(np.isneginf(np.take_along_axis(scores, best, axis=1)), -1, best)

    def ndcg(self, best: Ids) -> NDArray[np.float64]:
        """NDCG@10 (users,) of lists (users, CUTOFF); -1 stands where a list is shorter."""
        hit = best == self.targets[:, None]
        return np.where(hit.any(1), 1 / np.log2(hit.argmax(1) + 2), 0.0)


@dataclass(slots=True, eq=False)
class Watch:
    """Takes the lists of a model after each epoch, and says whether to go on."""

    question: Question
    epochs: int
    until: float
    """CPU seconds of this process."""
    figures: list[float] = field(default_factory=list)
    lists: Ids = field(default_factory=lambda: np.empty((0, CUTOFF), dtype=np.int64))

    def __call__(self, best: Ids) -> bool:
        self.figures.append(float(self.question.ndcg(best).mean()))
        self.lists = best
        late = len(self.figures) - 1 - int(np.argmax(self.figures))
        return len(self.figures) < self.epochs and late < PATIENCE and cpu_seconds() < self.until

    @property
    def epoch(self) -> int:
        """The best one, 1 on."""
        return int(np.argmax(self.figures)) + 1


class Refit(Watch):
    """Goes on to the epoch that was chosen, whatever the figures are."""

    def __call__(self, best: Ids) -> bool:
        self.lists = best
        self.figures.append(0.0)
        return len(self.figures) < self.epochs


Peer = Callable[[Settings, Question, Watch, int], None]
"""Fits a model with these settings and a seed, and shows its lists to the watch: after each epoch, or once."""


@dataclass(frozen=True, slots=True)
class Model:
    """`space` has the values of each setting, a good start first; `epochs` at most."""

    peer: Peer
    space: Mapping[str, Sequence[Any]]
    epochs: int = 1


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def sampled_settings(space: Mapping[str, Sequence[Any]], *, trials: int, seed: int) -> Iterator[Settings]:
    """The first of each value, then others at random; each once."""
    generator, seen = np.random.default_rng(seed), set[str]()
    settings = {name: values[0] for name, values in space.items()}
    for _ in range(50 * trials):
        if len(seen) == trials:
            return
        if (key := json.dumps(settings)) not in seen:
            seen.add(key)
            yield settings
        settings = {name: values[int(generator.integers(len(values)))] for name, values in space.items()}


def study(model: Model, events: Events, *, trials: int, budget_s: float, seed: int) -> tuple[dict[str, Any], Ids]:
    """What was chosen and what it cost, and the lists (users, CUTOFF) for the last event of each user."""
    question, until = Question.of(events, VALIDATION), cpu_seconds() + budget_s
    results = list[dict[str, Any]]()
    for settings in sampled_settings(model.space, trials=trials, seed=seed):
        watch = Watch(question, model.epochs, until)
        model.peer(settings, question, watch, seed)
        results.append({"settings": dict(settings), "epoch": watch.epoch, "validation": max(watch.figures)})
        if cpu_seconds() >= until:
            break
    chosen = max(results, key=lambda result: result["validation"])
    tuned_s = cpu_seconds()
    test = Question.of(events, TEST)
    refit = Refit(test, chosen["epoch"], np.inf)
    model.peer(chosen["settings"], test, refit, seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    costs = {"tuning_cpu_s": tuned_s, "fit_cpu_s": cpu_seconds() - tuned_s, "peak_mb": peak}
    return {"chosen": chosen, "trials": results} | costs, refit.lists


def main(models: Mapping[str, Model]) -> None:
    """Usage: MODEL EVENTS OUT --trials N --budget SECONDS --seed N. Writes OUT.json and OUT.npy."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=list(models))
    parser.add_argument("events", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--budget", type=float, default=1800.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    summary, lists = study(
        models[options.model],
        Events.load(options.events),
        trials=options.trials,
        budget_s=options.budget,
        seed=options.seed,
    )
    np.save(options.out.with_suffix(".npy"), lists)
    options.out.with_suffix(".json").write_text(json.dumps(summary))
