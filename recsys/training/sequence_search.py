"""Width, layers, window and epochs of a sequence model, searched by short trainings on a sample of the users.

A trial that has ended leaves its figures beside the checkpoints of the run, so that a resumed search goes on from them.
"""

import hashlib
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recsys.bundle import Part
from recsys.data.splits import EvalCases
from recsys.metrics.ranking import PerCase
from recsys.private_files import open_private
from recsys.retrieval.registry import restore_source
from recsys.retrieval.search_space import Axis, SearchSpace
from recsys.training.climbing import Climb
from recsys.training.plan import Plan, Progress
from recsys.training.sequence_model import SequenceRecipe
from recsys.training.tuning import FitInputs, ndcg_at_10

SAMPLE_EVENTS = 60_000
"""Events that a trial learns from, about: those of whole users."""
MAX_CASES = 1000
MAX_TRIALS = 7

Train = Callable[[SequenceRecipe, FitInputs, EvalCases, str], Generator[Progress, None, Part]]
"""Trains a part by a recipe, with validation and the name of its stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What is searched of a `SequenceRecipe`."""

    dim: int
    layers: int
    max_length: int
    epochs: int

    @classmethod
    def of(cls, recipe: SequenceRecipe) -> "Size":
        encoder = recipe.encoder
        return cls(dim=encoder.dim, layers=encoder.layers, max_length=encoder.max_length, epochs=recipe.loop.epochs)

    def applied(self, recipe: SequenceRecipe) -> SequenceRecipe:
        encoder = replace(recipe.encoder, dim=self.dim, layers=self.layers, max_length=self.max_length)
        return replace(recipe, encoder=encoder, loop=replace(recipe.loop, epochs=self.epochs))


AXES = (
    Axis("dim", (64, 128), "log", low=16, high=256),
    Axis("layers", (1, 2), "linear", low=1, high=4),
    Axis("max_length", (25, 50), "log", low=5, high=400),
    Axis("epochs", (8, 16), "log", low=2, high=32),
)


def search_size(
    recipe: SequenceRecipe, inputs: FitInputs, validation: EvalCases, plan: Plan, *, name: str, train: Train
) -> Generator[Progress, None, SequenceRecipe]:
    """Yields progress; returns `recipe` with the size that does best on a sample, where that is no chance: its gain over the
    size of `recipe` is above the standard error. What the user has set stays."""
    fixed = _fixed(plan, name)
    sample, cases = _sample(inputs, plan.seed), validation.sample(MAX_CASES, seed=plan.seed)
    ndcg, start = dict[Size, PerCase](), Size.of(recipe)

    def figure(size: Size) -> Generator[Progress, None, PerCase]:
        trained = f"trial-{hashlib.sha256(repr(size).encode()).hexdigest()[:12]}"
        path = _figures_file(plan, name, trained)
        if plan.resume and path is not None and path.exists():
            ndcg[size] = np.load(path)
        else:
            part = yield from train(size.applied(recipe), sample, cases, trained)
            source, items = restore_source(part), inputs.dataset.items
            ndcg[size] = ndcg_at_10(source, cases, items=items, include_seen=inputs.include_seen)
            _save(ndcg[size], path, plan.context(name).at(trained).checkpoint)
        mean = float(ndcg[size].mean())
        yield Progress(name, f"trial {len(ndcg)} of {MAX_TRIALS} at most, NDCG@10 {mean:.4f} with {asdict(size)}")
        return ndcg[size]

    space = SearchSpace(start, tuple(axis for axis in AXES if axis.setting not in fixed), max_fits=MAX_TRIALS)
    chosen = yield from Climb(space, figure, query_time={}).run()
    gain = ndcg[chosen.config] - ndcg[start]
    size = chosen.config if gain.mean() > gain.std() / np.sqrt(len(gain)) else start
    yield Progress(
        name, f"trained {chosen if size is chosen.config else f'with {start}: no other size is surely better'}"
    )
    return size.applied(recipe)


def _fixed(plan: Plan, name: str) -> set[str]:
    """The settings of a `Size` that the plan decides."""
    table: dict[str, Any] = dict(plan.overrides.get(name, {}))
    return {*table.get("encoder", {}), *table.get("loop", {}), *(["epochs"] if plan.epochs else [])}


def _sample(inputs: FitInputs, seed: int) -> FitInputs:
    """The histories of some users, drawn until they have `SAMPLE_EVENTS` events."""
    data = inputs.dataset
    order = np.random.default_rng(seed).permutation(len(data))
    drawn_users = order[: 1 + np.searchsorted(np.cumsum(data.lengths[order]), SAMPLE_EVENTS)]
    is_drawn = np.zeros(len(data), dtype=np.bool_)
    is_drawn[drawn_users] = True
    return replace(inputs, dataset=data.keep(is_drawn[data.owners]))


def _figures_file(plan: Plan, name: str, stage: str) -> Path | None:
    checkpoint = plan.context(name).at(stage).checkpoint
    return None if checkpoint is None else checkpoint.with_name(f"{checkpoint.stem}-figures.ckpt")


def _save(figures: PerCase, path: Path | None, checkpoint: Path | None) -> None:
    """Keeps the figures of a trial in place of its checkpoint, which is large."""
    if path is None or checkpoint is None:
        return
    partial = path.with_suffix(".partial")
    with open_private(partial, "wb") as file:
        np.save(file, figures)
    partial.replace(path)
    checkpoint.unlink(missing_ok=True)
