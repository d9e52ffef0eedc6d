"""How fast lists are found: a million list vectors against comparing all, and a list that is not stored, as a whole request.

Both sides of each row take turns on one thread, so that whatever else the machine does falls on both.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recsys.data.playlists import split_playlists
from recsys.encoders.normalize import l2_normalize
from recsys.indexes.build import build
from recsys.indexes.exact import ExactConfig, ExactIndex
from recsys.retrieval.lists.mean import WEIGHTED, MeanEncoder, fit_mean
from recsys.service.playlists.playlist_index import PlaylistSnapshot, suited_to_lists
from recsys.service.playlists.questions import SimilarOptions
from recsys.service.playlists.search import nearest
from recsys.service.state.catalogue import Catalogue
from recsys.store import Store
from recsys.store.sessions import upgrade
from recsys.training.svd_init import svd_embeddings
from tests.benchmarks.harness import Row, say
from tests.benchmarks.playlists_data import lists
from tests.benchmarks.playlists_parts import encoder as learned
from tests.benchmarks.playlists_probes import MPD
from tests.benchmarks.playlists_served import STORED, served
from tests.benchmarks.strength_client import send, serving
from tests.benchmarks.strength_world import jittered

LISTS, QUERIES, K = 1_000_000, 200, 10
DIM = 128
FASTER, RECALL = 20.0, 0.97
LENGTH, REQUESTS = 100, 200
KEY = "weighted"
SEED = 0


def encoder(data: Path) -> MeanEncoder:
    """The weighted mean, as a blend has it."""
    fit = split_playlists(lists(data, "mpd_popular")).refit.data
    return fit_mean(fit, svd_embeddings(fit, dim=DIM, seed=SEED), WEIGHTED, name=KEY)


def similar(data: Path) -> Iterator[Row]:
    """A million vectors jittered from those of the stored lists, each list asked about as its route asks: without itself."""
    found = lists(data, "mpd_popular")
    vectors = encoder(data).encode(found.rows())
    vectors = vectors[np.abs(vectors).max(axis=1) > 0]
    every = l2_normalize(jittered(vectors, LISTS, seed=SEED))
    exact = ExactIndex(ExactConfig(), every, known=np.ones(LISTS, dtype=np.bool_))
    started = time.monotonic()
    index = build(suited_to_lists(LISTS), every, known=np.ones(LISTS, dtype=np.bool_))
    say(f"an index of {LISTS:,} lists: built in {time.monotonic() - started:.0f} s")
    lengths = np.random.default_rng(SEED + 2).integers(5, 250, size=LISTS)
    stored, shown = Catalogue(map(str, range(LISTS))), np.ones(LISTS, dtype=np.bool_)
    now = PlaylistSnapshot(stored, shown, lengths, MappingProxyType({KEY: index}))
    rows = np.random.default_rng(SEED + 1).permutation(LISTS)[:QUERIES]
    yield _compared(exact, now, SimilarOptions(k=K), rows, what="")
    half = SimilarOptions(k=K, max_length=int(np.median(lengths)))
    yield _compared(exact, now, half, rows, what=", of lengths that half of them have,")


def _compared(
    exact: ExactIndex, now: PlaylistSnapshot, options: SimilarOptions, rows: NDArray[np.int64], *, what: str
) -> Row:
    """The served search, which has the whole of its filters to do, beside an exact one that is given the flags."""
    allowed = None if options.max_length is None else (now.lengths <= options.max_length)[None]
    seconds, recalls = list[tuple[float, float]](), list[float]()
    with TemporaryDirectory() as folder, threadpool_limits(1):
        upgrade(url := f"sqlite:///{folder}/recsys.db")
        store = Store.open(url)
        for row in rows.tolist():
            vector = exact.vectors[row : row + 1]
            times = [time.perf_counter()]
            best = exact.search(vector, k=K + 1, allowed=allowed).rows[0]
            times.append(time.perf_counter())
            served, _ = nearest(store, now, KEY, vector, options, without=str(row))
            times.append(time.perf_counter())
            seconds.append((times[1] - times[0], times[2] - times[1]))
            recalls.append(len(np.intersect1d(best[best != row][:K], served)) / K)
        store.close()
    ms = dict(zip(("exact", "served"), (1000 * np.median(seconds, axis=0)).tolist(), strict=True))
    faster, recall = ms["exact"] / ms["served"], float(np.mean(recalls))
    return Row(
        what=f"similar lists among {LISTS:,}{what} against exact search, one at a time, one thread",
        value={"times the queries/s": faster, "recall@10": recall, "ms": ms},
        must="printed" if what else f">= {FASTER} at recall@10 >= {RECALL}",
        holds=bool(what) or (faster >= FASTER and recall >= RECALL),
        seed=SEED,
        n=len(rows),
    )


def unseen(data: Path) -> Iterator[Row]:
    """A list of 100 items that is not stored: the whole request over HTTP against its encoding alone, in turns."""
    url = served(data)
    model = learned(data, "mpd_popular", "playlist-seq2seq", MPD)
    found = lists(data, "mpd_popular")
    asked = [rows[:LENGTH] for rows in found.rows()[STORED:] if len(rows) >= LENGTH][:REQUESTS]
    bodies = [{"item_ids": [found.data.item_ids[row] for row in rows], "order": "sensitive"} for rows in asked]
    requests = [send("POST", "/v1/playlists/similar", body) for body in bodies]
    alone, whole = list[float](), list[float]()
    spent, own = 0.0, 0.0
    with serving(url) as server, threadpool_limits(1):
        torch.set_num_threads(1)
        for rows, request in zip(asked, requests, strict=True):
            started, before = time.perf_counter(), time.process_time()
            model.encode([rows])
            alone.append(time.perf_counter() - started)
            own += time.process_time() - before
            answered = server.drive([request], connections=1)
            whole += answered.seconds
            spent += answered.server_seconds
    ms = {"encoding": 1000 * float(np.median(alone)), "request": 1000 * float(np.median(whole))}
    yield Row(
        what=f"similar lists to one of {LENGTH} items that is not stored: whole request over its encoding alone",
        value={"value": ms["request"] / ms["encoding"], "by processor time": spent / own, "ms": ms},
        must="<= 2",
        holds=ms["request"] <= 2 * ms["encoding"],
        seed=SEED,
        n=len(asked),
    )
