"""How fast lists are found: a million list vectors against comparing all, and a list that is not stored, as a whole request.

Both sides of each row take turns on one thread, so that whatever else the machine does falls on both.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from recsys.bundle import Bundle, read_manifest, save_bundle
from recsys.data.playlists import split_playlists
from recsys.data.units import unit
from recsys.indexes.build import build
from recsys.indexes.exact import ExactConfig, ExactIndex
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.mean import WEIGHTED, MeanEncoder, fit_mean
from recsys.service.stored_lists import suited_to_lists
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.store.sessions import upgrade
from recsys.training.start import spectral_start
from tests.benchmarks.harness import Row, place, say
from tests.benchmarks.item_text_funnel import timed
from tests.benchmarks.playlists_data import files, lists
from tests.benchmarks.playlists_parts import Learned
from tests.benchmarks.playlists_parts import encoder as learned
from tests.benchmarks.playlists_probes import MPD
from tests.benchmarks.strength_client import send, serving
from tests.benchmarks.strength_world import jittered

LISTS, QUERIES, K = 1_000_000, 200, 10
DIM = 128
FASTER, RECALL = 20.0, 0.97
LENGTH, REQUESTS = 100, 200
STORED = 1000
"""Lists beside which the one that is not stored is compared."""
SEED = 0


def encoder(data: Path) -> MeanEncoder:
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
    started = time.monotonic()
    index = build(suited_to_lists(LISTS), every, known=np.ones(LISTS, dtype=np.bool_))
    say(f"an index of {LISTS:,} lists: built in {time.monotonic() - started:.0f} s")
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


def unseen(data: Path) -> Iterator[Row]:
    """A list of 100 items that is not stored: the whole request over HTTP against its encoding alone, in turns."""
    model = learned(data, "mpd_popular", "playlist-seq2seq", MPD)
    kept = place("unseen", LENGTH, STORED, model.hash, files=files(data, "mpd_popular"))
    url = f"sqlite:///{kept}/recsys.db"
    item_ids = lists(data, "mpd_popular").data.item_ids
    if not (kept / "ready").exists():
        shutil.rmtree(kept, ignore_errors=True)
        _stored(data, model, kept, url)
        (kept / "ready").touch()
    asked = [rows for one in lists(data, "mpd_popular").rows() if len(rows := model.usable(one)[:LENGTH]) == LENGTH]
    asked = asked[STORED:][:REQUESTS]
    bodies = [{"item_ids": [item_ids[row] for row in rows], "order": "sensitive"} for rows in asked]
    requests = [send("POST", "/v1/playlists/similar", body) for body in bodies]
    alone, whole = list[float](), list[float]()
    with serving(url) as server, threadpool_limits(1):
        torch.set_num_threads(1)
        for rows, request in zip(asked, requests, strict=True):
            started = time.perf_counter()
            model.encode([rows])
            alone.append(time.perf_counter() - started)
            whole += server.drive([request], connections=1).seconds
    ms = {"encoding": 1000 * float(np.median(alone)), "request": 1000 * float(np.median(whole))}
    yield Row(
        what=f"similar lists to one of {LENGTH} items that is not stored: whole request over its encoding alone",
        value={"value": ms["request"] / ms["encoding"], "ms": ms},
        must="<= 2",
        holds=ms["request"] <= 2 * ms["encoding"],
        seed=SEED,
        n=len(asked),
    )


def _stored(data: Path, model: Learned, kept: Path, url: str) -> None:
    """A store with the items that the encoder knows and the first lists, and the encoder as its active bundle."""
    found = lists(data, "mpd_popular")
    bundle = Bundle(
        parts={(part := model.part(f"{PREFIX}{model.name}")).name: part},
        default=part.name,
        item_ids=found.data.item_ids,
        about={"seed": SEED, "deploy": False},
    )
    kept.mkdir(parents=True)
    upgrade(url)
    store = Store.open(url)
    known = np.flatnonzero(model.known)
    for start in range(0, len(known), 5000):
        store.put_items([ItemDraft(item_id=found.data.item_ids[row]) for row in known[start : start + 5000].tolist()])
    for owner, rows in list(zip(found.data.users, found.rows(), strict=True))[:STORED]:
        store.put_playlist(owner, None, [found.data.item_ids[row] for row in model.usable(rows).tolist()])
    uri = save_bundle(bundle, str(kept), name="bundle")
    store.add_bundle(uri, read_manifest(uri))
    store.activate_bundle(uri)
    store.close()
