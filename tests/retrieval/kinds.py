"""One source of every type that recommends items, trained by its recipe on the planted world."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from recsys.data.splits import split_by_fold
from recsys.retrieval.fusion import Fusion, FusionSource
from recsys.retrieval.registry import TYPES, kinds, restore_source
from recsys.retrieval.source import StoredSource
from recsys.training.plan import Plan
from recsys.training.recipe_types import HistoryInputs, TwoStageFit
from recsys.training.recipes import RECIPES
from tests.retrieval.worlds import World

SEQUENCE = {
    "encoder": {"dim": 32, "max_length": 8, "dropout": 0.1},
    "loop": {"learning_rate": 5e-3, "warmup_steps": 10},
    "tokens": 256,
    "temperature": 0.1,
}
SMALL: dict[str, dict[str, Any]] = {
    "recent": {"share": 0.1},
    "markov": {"reach": 5, "popularity": 0.0, "decay": 0.6},
    "ease": {"ridge": 20.0},
    "als": {"factors": 16},
    "bpr": {"factors": 16, "iterations": 200},
    "sasrec": SEQUENCE,
    "sasrec-text": SEQUENCE,
    "sasrec-hybrid": SEQUENCE,
}
"""Settings that suit a small world, by type."""

FOR_ALL = kinds(lambda can: can.answers == "items" and can.cold_score == 0)
"""The same items for everyone, known or not."""

REPEATS = kinds(lambda can: can.only_repeats)
"""Know the items of the history alone, new ones too."""

SINGLE = kinds(lambda can: can.answers == "items" and not can.truncates)
"""All but the one that answers at several truncations, which is given its items by a text encoder and has tests of its own."""

TEXTS = [kind for kind in SINGLE if TYPES[kind].capabilities.cold_score is None]
"""Know an item by its text."""

TEXTS_AND_EVENTS = ["sasrec-hybrid", "imputed"]
"""Know an item by its text, and one with events by these as well."""

ORDERED = ["markov", *(kind for kind in SINGLE if not TYPES[kind].capabilities.baseline)]
"""Know what comes next, the others only what goes together."""

RANDOM = ["als", "bpr", *(kind for kind in SINGLE if not TYPES[kind].capabilities.baseline)]
"""Depend on a seed."""

KINDS = [*SINGLE, "fusion"]


def fitted(name: str, world: World, *, seed: int = 0, epochs: int = 15) -> StoredSource:
    """The source `name`, not a fusion, on all events of the world but the last of each user."""
    plan = Plan(
        text_encoder="hashed",
        include_seen=False,
        seed=seed,
        epochs=epochs,
        overrides={name: SMALL[name]} if name in SMALL else {},
    )
    inputs = HistoryInputs(folds=split_by_fold(world.dataset), text=world.text)
    *_, fit = RECIPES[name].train(name, inputs, plan)
    assert isinstance(fit, TwoStageFit)
    return restore_source(fit.refit)


def blended(sources: dict[str, StoredSource]) -> FusionSource:
    """All of them with equal weights."""
    weights = np.repeat(np.array([1, 0, 0], dtype=np.float32), len(sources))
    return FusionSource(Fusion(tuple(sources), weights, 100, {}), sources)


def again(name: str, world: World) -> Callable[..., StoredSource]:
    """Fits `name` quickly: for tests of sameness, not of quality."""
    return partial(fitted, name, world, epochs=1)
