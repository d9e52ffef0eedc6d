"""One source of every kind, fitted on the planted world."""

from collections.abc import Callable
from functools import partial
from typing import get_args

import numpy as np

from models.encoders.sequence import SequenceConfig
from models.zoo import SEQUENCE_MODELS
from recsys.bundle import Part
from recsys.data.splits import split_by_fold
from recsys.retrieval.ease import EaseConfig
from recsys.retrieval.factors import AlsConfig, BprConfig
from recsys.retrieval.fusion import Fusion, FusionSource
from recsys.retrieval.markov import MarkovConfig
from recsys.retrieval.neighbours import NeighboursConfig
from recsys.retrieval.popular import PopularConfig
from recsys.retrieval.registry import SourceConfig, StoredSource, fit, restore
from recsys.retrieval.text import TextConfig
from recsys.training.loop import LoopConfig
from recsys.training.sequence import SequenceRecipe, train
from tests.retrieval.worlds import World

CONFIGS: dict[str, SourceConfig] = {
    "popular": PopularConfig(),
    "recent": PopularConfig(share=0.1),
    "markov": MarkovConfig(),
    "item-neighbours": NeighboursConfig(),
    "ease": EaseConfig(ridge=20.0),
    "als": AlsConfig(factors=16),
    "bpr": BprConfig(factors=16, iterations=200),
    "text": TextConfig(text_encoder="hashed"),
}
FOR_ALL = ("popular", "recent")
"""The same items for everyone, known or not."""

TEXTS = ("text", "sasrec-text", "sasrec-hybrid")
"""Know an item by its text."""

ORDERED = ("markov", *SEQUENCE_MODELS)
"""Know what comes next, the others only what goes together."""

SINGLE = (*CONFIGS, *SEQUENCE_MODELS)
KINDS = (*SINGLE, "fusion")


def listed() -> set[type[SourceConfig]]:
    """The kinds of simple source that there are."""
    return set(get_args(SourceConfig))


def fitted(name: str, world: World, *, seed: int = 0, epochs: int = 15) -> StoredSource:
    """The source `name`, not a fusion, on all events of the world but the last of each user."""
    data = split_by_fold(world.dataset).refit
    if name in CONFIGS:
        return fit(CONFIGS[name], data, text=world.text, seed=seed)
    recipe = SequenceRecipe(
        items=SEQUENCE_MODELS[name],
        encoder=SequenceConfig(dim=32, max_length=8, dropout=0.1),
        loop=LoopConfig(epochs=epochs, learning_rate=5e-3, warmup_steps=10),
        tokens=256,
        temperature=0.1,
        text_encoder=None if SEQUENCE_MODELS[name] == "id" else "hashed",
    )
    *_, part = train(recipe, name=name, fit=data, validation=None, text=world.text, seed=seed)
    assert isinstance(part, Part)
    return restore(part)


def blended(sources: dict[str, StoredSource]) -> FusionSource:
    """All of them with equal weights."""
    weights = np.repeat(np.array([1, 0, 0], dtype=np.float32), len(sources))
    return FusionSource(Fusion(tuple(sources), weights, 100, {}), sources)


def again(name: str, world: World) -> Callable[..., StoredSource]:
    """Fits `name` quickly: for tests of sameness, not of quality."""
    return partial(fitted, name, world, epochs=1)
