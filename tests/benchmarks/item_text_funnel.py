"""The funnel against flat search: a million nested vectors, the catalogue's own with jitter.

    make bench NAME=item-text DATA=FOLDER ROW=funnel

Flat search is the faster of FAISS's and our own; both sides ask one question at a time on one thread, in turns, so that
whatever else the machine does falls on both.
"""

import time
from collections.abc import Callable, Iterator

import faiss
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recsys.encoders.normalize import l2_normalize
from recsys.indexes.exact import ExactConfig, ExactIndex
from recsys.indexes.funnel import FunnelConfig, FunnelIndex
from tests.benchmarks.harness import Row, say
from tests.benchmarks.strength_world import jittered

ITEMS, QUERIES, K = 1_000_000, 200, 10
CONFIG = FunnelConfig(dims=64, shortlist=200, factor=20)
FASTER, RECALL = 4.0, 0.99

Vectors = NDArray[np.float32]
Ask = Callable[[Vectors], NDArray[np.int64]]


def funnel(vectors: Vectors, *, items: int = ITEMS, queries: int = QUERIES, seed: int = 0) -> Iterator[Row]:
    """One row: how many times faster the funnel is at how much recall, over `items` copies of unit `vectors` with jitter.

    The questions are jittered too, so that none is a vector of the index.
    """
    catalogue = l2_normalize(jittered(vectors, items, seed=seed))
    drawn = np.random.default_rng(seed + 1).permutation(len(vectors))[:queries]
    asked = l2_normalize(jittered(vectors[drawn], len(drawn), seed=seed + 2))
    exact = ExactIndex(ExactConfig(), catalogue, known=np.ones(items, dtype=np.bool_))
    flat = faiss.IndexFlatIP(catalogue.shape[1])
    flat.add(exact.vectors)
    ways: dict[str, Ask] = {
        "flat (FAISS)": lambda query: flat.search(query, K)[1][0],
        "flat (exact)": lambda query: exact.search(query, k=K).rows[0],
    }
    narrow = FunnelIndex(CONFIG, exact)
    ways["funnel"] = lambda query: narrow.search(query, k=K).rows[0]
    seconds, found = timed(ways, asked)
    medians = {name: float(np.median(each)) for name, each in seconds.items()}
    truth, ours = found["flat (exact)"], found["funnel"]
    recall = float(np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(truth, ours, strict=True)]))
    faster = min(medians["flat (FAISS)"], medians["flat (exact)"]) / medians["funnel"]
    for name, median in medians.items():
        say(f"{name}: {1000 * median:.1f} ms")
    yield Row(
        what=f"funnel {CONFIG.dims} -> {catalogue.shape[1]}, K = {CONFIG.shortlist}, against flat search, {items:,} vectors",
        value={"times as fast": faster, "recall@10": recall, "ms": {n: 1000 * m for n, m in medians.items()}},
        must=f">= {FASTER} at recall@10 >= {RECALL}",
        holds=faster >= FASTER and recall >= RECALL,
        seed=seed,
        n=len(asked),
    )


def timed(ways: dict[str, Ask], asked: Vectors) -> tuple[dict[str, list[float]], dict[str, list[NDArray[np.int64]]]]:
    """(seconds of each question, what was found) by way, in turns, on one thread."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, list[NDArray[np.int64]]] = {name: [] for name in ways}
    with threadpool_limits(1):
        for query in asked:
            for name, ask in ways.items():
                started = time.perf_counter()
                rows = ask(query[None])
                seconds[name].append(time.perf_counter() - started)
                found[name].append(rows)
    return seconds, found
