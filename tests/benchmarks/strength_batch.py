"""Batch scoring, end to end, against the bare encoder and FAISS calls on the same arrays; its memory at ten times the users.

Each run is a process of its own with one thread. The bare calls begin with everything in memory: the last items of each user as
rows, the item vectors, the graph. Command and bare calls take turns, so that a machine that others use too slows both alike.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch

from recsys.bundle_io import load_bundle
from recsys.cli import app
from recsys.data.history import History
from recsys.indexes.hnsw import HnswIndex
from recsys.retrieval.registry import restore_source as restore
from recsys.retrieval.sequence import SequenceSource
from tests.benchmarks.harness import ROOT, Row, peak_megabytes, say
from tests.benchmarks.strength_world import World, rows_of_users, with_fewer, world

ITEMS, USERS, FEW, K = 100_000, 100_000, 10_000, 10
ROUNDS = 2
ENCODER = "sasrec"
BLOCKS = (250, 1000, 4000)
"""Histories encoded at once by the bare calls: the quickest counts."""


def batch(data: Path) -> Iterator[Row]:
    """Seconds from the start of the command to its end, and its peak memory."""
    made = world(data, items=ITEMS, users=USERS)
    few = with_fewer(made, FEW)
    own, bare = list[dict[str, Any]](), list[dict[str, Any]]()
    for _ in range(ROUNDS):
        own.append(_command(made))
        bare.append(_alone("bare", made, str(data)))
        say(f"batch {own[-1]}, bare calls {bare[-1]}")
    ratio = float(np.median([one["seconds"] for one in own]) / np.median([one["seconds"] for one in bare]))
    yield Row(
        what=f"batch: {USERS:,} users x {ITEMS:,} items over bare encoder and FAISS calls",
        value={"value": ratio, "seconds": own, "bare_seconds": bare},
        must="<= 2",
        holds=ratio <= 2,
        seed=0,
        n=USERS,
    )
    peaks = {FEW: _command(few)["megabytes"], USERS: own[0]["megabytes"]}
    yield Row(
        what=f"batch: peak memory of {USERS:,} users over that of {FEW:,}",
        value={"value": peaks[USERS] / peaks[FEW], "megabytes": peaks},
        must="<= 1.2",
        holds=peaks[USERS] / peaks[FEW] <= 1.2,
        seed=0,
        n=USERS,
    )


def _command(made: World) -> dict[str, Any]:
    """`recsys batch` from the start of its process to the end."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        told = _alone("command", made, f"{folder}/out.parquet")
        return told | {"seconds": time.monotonic() - started}


def _alone(what: str, made: World, argument: str) -> dict[str, Any]:
    command = [sys.executable, "-m", __name__, what, made.url, made.bundle, str(made.users), argument]
    environment = os.environ | {"RECSYS_DATABASE_URL": made.url, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def _scored(out: str) -> dict[str, Any]:
    app(["batch", "--out", out, "--encoder", ENCODER, "--k", str(K)], standalone_mode=False)
    return {"megabytes": peak_megabytes()}


def _bare(made: World, data: Path) -> dict[str, Any]:
    """Seconds of encoding and searching, without anything around them."""
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    source = restore(load_bundle(made.bundle).part(ENCODER))
    assert isinstance(source, SequenceSource)
    assert isinstance(source.index, HnswIndex)
    histories = [History.undated(rows[source.known[rows]]) for rows in rows_of_users(data, made)]
    encoding = {}
    for block in BLOCKS:
        started = time.monotonic()
        vectors = np.concatenate([source.encode(histories[i : i + block]) for i in range(0, len(histories), block)])
        encoding[block] = time.monotonic() - started
    wide = faiss.SearchParametersHNSW(efSearch=source.index.config.search)  # type: ignore[attr-defined]
    started = time.monotonic()
    source.index.graph.search(vectors, K, params=wide)
    searching = time.monotonic() - started
    return {"seconds": min(encoding.values()) + searching, "encoding": encoding, "searching": searching}


BENCHES = {"batch": batch}

if __name__ == "__main__":
    task, url, bundle, users, argument = sys.argv[1:]
    told = _scored(argument) if task == "command" else _bare(World(url, bundle, int(users), ITEMS), Path(argument))
    sys.stdout.write(f"\n{json.dumps(told)}\n")
