"""A world of texts in which colours or numbers go together, by domain, and a small encoder that learns it."""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

from models.pretrained import TOKENIZER, WEIGHTS, packaged_folder
from recsys.bundle import Part
from recsys.data.cooccurrence import Pairs
from recsys.encoders.catalogue import CatalogueTextEncoder, truncate
from recsys.encoders.tokenizer import TextTokenizer, train_tokenizer
from recsys.metrics.pair_recall import partner_recall
from recsys.training.item_text.config import ItemTextRecipe, TextData
from recsys.training.item_text.train import train
from recsys.training.loop import LoopConfig
from recsys.training.plan import RunContext

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


def part_of(recipe: ItemTextRecipe, data: TextData) -> Part:
    *_, last = train(recipe, data, context=RunContext(name="item-text"))
    assert isinstance(last, Part)
    return last


def recall(part: Part, data: TextData, *, layers: int | None = None, dims: int = 32) -> float:
    vectors = CatalogueTextEncoder.from_part(part).encode_documents(data.texts, domains=data.domains, layers=layers)
    return float(partner_recall(truncate(vectors, dims), data.pairs.rows)[1].mean())


def save_checkpoint(folder: Path, data: TextData, *, layers: int = 3) -> str:
    """The name of a sentence encoder of random weights in `folder`: laid out as the packaged one, but 32 wide and with the
    words of `data`, so that a training from it takes a hundredth of the time.
    """
    packaged = packaged_folder()
    assert packaged is not None
    shutil.copytree(packaged, folder, ignore=shutil.ignore_patterns(WEIGHTS, TOKENIZER, "*.txt", "*.md"))
    (folder / TOKENIZER).write_text(train_tokenizer(data.texts, vocabulary=200), encoding="utf-8")
    config = BertConfig(
        vocab_size=TextTokenizer((folder / TOKENIZER).read_text(encoding="utf-8"), max_length=16).vocabulary,
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    (folder / "config.json").write_text(json.dumps(config.to_dict()), encoding="utf-8")
    torch.manual_seed(0)
    save_file(BertModel(config).state_dict(), folder / WEIGHTS)
    return str(folder)
