"""Lists with hidden genres as a data set, and small encoders trained on them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from features.synthetic import genre_lists
from models.encoders.seq2seq import PlaylistConfig
from models.encoders.sets import SetConfig
from recsys.bundle import Part
from recsys.data.dataset import Dataset
from recsys.encoders.hashed import HashedNgrams
from recsys.retrieval.lists.seq2seq import Seq2seqListEncoder
from recsys.retrieval.lists.sets import SetListEncoder
from recsys.training.lists.pointer import CompletionRecipe
from recsys.training.lists.seq2seq import PlaylistRecipe, train_playlists
from recsys.training.lists.set_encoder import SetRecipe, train_sets
from recsys.training.loop import LoopConfig
from recsys.training.plan import RunContext

ITEMS, GENRES = 60, 4
WORLD = genre_lists(lists=150, items=ITEMS, genres=GENRES, shortest=5, longest=25)
TEXT = HashedNgrams(dim=32)
PLAYLISTS = PlaylistRecipe(
    encoder=PlaylistConfig(dim=24, hidden=24, max_length=32, dropout=0.1),
    loop=LoopConfig(epochs=6, learning_rate=1e-2, warmup_steps=10, clip=5.0),
    negatives=30,
    tokens=256,
)
SETS = SetRecipe(
    encoder=SetConfig(dim=24, max_length=32, dropout=0.1),
    loop=LoopConfig(epochs=6, learning_rate=1e-2, warmup_steps=10, clip=5.0),
    negatives=30,
    tokens=256,
    completion=CompletionRecipe(candidates=20, loop=LoopConfig(epochs=1, warmup_steps=5)),
)


def dataset(lists: Sequence[Sequence[int]] = WORLD.lists, *, items: int = ITEMS + 2) -> Dataset:
    """Lists of catalogue rows; the last two items of the catalogue stand in none of the world's lists."""
    genre = [*WORLD.genre, 0, 1]
    lengths = [len(rows) for rows in lists]
    return Dataset(
        item_ids=tuple(f"item-{number}" for number in range(items)),
        texts=tuple(json.dumps({"genre": "kind-" * 3 + str(genre[number]), "n": number}) for number in range(items)),
        users=tuple(f"list-{number}" for number in range(len(lists))),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        rows=np.concatenate([np.array(rows, dtype=np.int64) for rows in lists]),
        at=np.full(sum(lengths), np.nan),
        folds=np.zeros(sum(lengths), dtype=np.uint8),
    )


@cache
def trained(name: str, *, kind: str = "id", epochs: int = 14, seed: int = 0) -> Seq2seqListEncoder | SetListEncoder:
    """The list encoder `name` over items by id, or by both id and text (`kind="hybrid"`)."""
    data = dataset()
    changed = {"items": kind, "text_encoder": None if kind == "id" else "hashed"}
    text = None if kind == "id" else TEXT.encode_documents(data.texts)
    context = RunContext(name=name, seed=seed)
    common = {"fit": data, "validation": None, "text": text, "context": context}
    if name == "set":
        sets = replace(SETS, loop=replace(SETS.loop, epochs=epochs), **changed)  # type: ignore[arg-type]
        *_, part = train_sets(sets, **common)  # type: ignore[arg-type]
        assert isinstance(part, Part)
        return SetListEncoder.from_part(part)
    playlists = replace(PLAYLISTS, loop=replace(PLAYLISTS.loop, epochs=epochs), **changed)  # type: ignore[arg-type]
    *_, part = train_playlists(playlists, **common)  # type: ignore[arg-type]
    assert isinstance(part, Part)
    return Seq2seqListEncoder.from_part(part)
