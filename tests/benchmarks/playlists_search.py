"""How fast lists are found: a million list vectors against comparing all, and a list that is not stored, as a whole request.

Both sides of each row take turns on one thread, so that whatever else the machine does falls on both.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from api.app import create_app
from recsys.bundle import Bundle, Part, load_bundle, save_bundle
from recsys.data.playlists import split_playlists
from recsys.data.units import unit
from recsys.indexes.build import build, restore, suited
from recsys.indexes.exact import ExactConfig, ExactIndex
from recsys.retrieval.lists.encoder import PREFIX, ListEncoder
from recsys.retrieval.lists.mean import WEIGHTED, fit_mean
from recsys.service import Recommender
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.store.sessions import upgrade
from recsys.training.start import spectral_start
from tests.benchmarks.harness import Row, at_least, place, say
from tests.benchmarks.item_text_funnel import timed
from tests.benchmarks.playlists_data import files, lists
from tests.benchmarks.strength_world import jittered

LISTS, QUERIES, K = 1_000_000, 200, 10
DIM = 128
FASTER, RECALL = 20.0, 0.97
LENGTH, REQUESTS = 100, 200
STORED = 1000
"""Lists beside which the one that is not stored is compared."""
SEED = 0


def encoder(data: Path) -> ListEncoder:
    """The weighted mean, as a blend has it."""
    fit = split_playlists(lists(data, "mpd_popular")).refit.data
    return fit_mean(fit, spectral_start(fit, dim=DIM, seed=SEED), WEIGHTED, name="weighted")


def similar(data: Path) -> Iterator[Row]:
    """A million vectors jittered from those of the stored lists, in the index that the service takes for so many."""
    found = lists(data, "mpd_popular")
    vectors = encoder(data).encode(found.rows())
    vectors = vectors[np.abs(vectors).max(axis=1) > 0]
    every = unit(jittered(vectors, LISTS, seed=SEED))
    drawn = np.random.default_rng(SEED + 1).permutation(len(vectors))[:QUERIES]
    asked = unit(jittered(vectors[drawn], len(drawn), seed=SEED + 2))
    exact = ExactIndex(ExactConfig(), every, known=np.ones(LISTS, dtype=np.bool_))
    index = _kept(every, data)
    with threadpool_limits(1):
        seconds, answers = timed(
            {
                "exact": lambda query: exact.search(query, k=K).rows[0],
                "served": lambda query: index.search(query, k=K).rows[0],
            },
            asked,
        )
    medians = {name: float(np.median(each)) for name, each in seconds.items()}
    pairs = zip(answers["exact"], answers["served"], strict=True)
    recall = float(np.mean([len(np.intersect1d(*pair)) / K for pair in pairs]))
    faster = medians["exact"] / medians["served"]
    yield Row(
        what=f"similar lists among {LISTS:,} against exact search, one at a time, one thread",
        value={"times the queries/s": faster, "recall@10": recall, "ms": {n: 1000 * m for n, m in medians.items()}},
        must=f">= {FASTER} at recall@10 >= {RECALL}",
        holds=faster >= FASTER and recall >= RECALL,
        seed=SEED,
        n=len(asked),
    )


def _kept(vectors: NDArray[np.float32], data: Path) -> Any:
    """The index over all vectors, built once."""
    folder = place("list index", LISTS, DIM, SEED, files=files(data, "mpd_popular"))
    if not (folder / "bundle").exists():
        started = time.monotonic()
        part = build(suited(LISTS), vectors, known=np.ones(LISTS, dtype=np.bool_)).part("lists")
        say(f"an index of {LISTS:,} lists: built in {time.monotonic() - started:.0f} s")
        arrays = part.arrays
        kept = Bundle(
            parts={"lists": Part(name="lists", kind=part.kind, config=part.config, arrays=arrays)},
            default="lists",
            item_ids=(),
            about={},
        )
        save_bundle(kept, str(folder), name="bundle")
    return restore(load_bundle(str(folder / "bundle")).part("lists"))


def unseen(data: Path) -> Iterator[Row]:
    """A list of 100 items that is not stored: the whole request over HTTP against its encoding alone."""
