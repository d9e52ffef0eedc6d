"""A world of texts in which colours or numbers go together, by domain, and a small encoder that learns it."""

import numpy as np

from recsys.bundle import Part
from recsys.data.cooccurrence import Pairs
from recsys.encoders.catalogue import CatalogueTextEncoder, truncate
from recsys.metrics.pair_recall import partner_recall
from recsys.training.item_text.config import ItemTextRecipe, TextData
from recsys.training.item_text.train import train
from recsys.training.loop import LoopConfig

COLOURS = ["red", "blue", "green", "pink", "gold", "grey"]
NUMBERS = ["one", "two", "three", "four", "five", "six"]
SMALL = ItemTextRecipe(
    start="random",
    layers=2,
    width=32,
    heads=4,
    vocabulary=200,
    offered=((1, 8), (2, 32)),
    expert_layers=1,
    expert_pairs=1,
    texts=24,
    half_precision="off",
    loop=LoopConfig(epochs=4, learning_rate=3e-3, warmup_steps=5),
)


def world(*, items: int = 80) -> TextData:
    """Every text has a colour and a number among other words; in domain x items of a colour go together, in y of a number."""
    generator = np.random.default_rng(0)
    kinds = generator.integers(6, size=(items, 2))
    texts = [
        f"w{generator.integers(40)} {COLOURS[colour]} w{generator.integers(40)} {NUMBERS[number]}"
        for colour, number in kinds
    ]
    same = [
        (a, b)
        for a in range(items)
        for b in range(a + 2, items, 2)  # even items are of x, odd ones of y
        if kinds[a, a % 2] == kinds[b, a % 2]
    ]
    return TextData(
        texts, ["xy"[item % 2] for item in range(items)], Pairs(np.array(same), np.ones(len(same), dtype=np.int64))
    )


def part_of(recipe: ItemTextRecipe, data: TextData, **more: object) -> Part:
    *_, last = train(recipe, data, seed=0, **more)  # type: ignore[arg-type]
    assert isinstance(last, Part)
    return last


def recall(part: Part, data: TextData, *, layers: int | None = None, dims: int = 32) -> float:
    vectors = CatalogueTextEncoder.from_part(part).encode(data.texts, domains=data.domains, layers=layers)
    return float(partner_recall(truncate(vectors, dims), data.pairs.rows)[1].mean())
