"""Answers while another process imports items with long texts, which the service has to encode."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from recsys.store import Store
from tests.benchmarks.foundation_runs import imported
from tests.benchmarks.harness import ROOT, Row, at_most, say
from tests.benchmarks.strength_client import Server, get, send, serving
from tests.benchmarks.strength_world import SET, trained

ITEMS, WORDS, CLIENTS = 5000, 100, 4
REQUESTS = 400
"""In one round; rounds follow each other until all texts count."""
BASE_ROUNDS = 5
MAX_SECONDS = 900


def answers_during_import(data: Path) -> Iterator[Row]:
    """p99 of `CLIENTS` clients before and during the import; requests without an answer end the run."""
    with tempfile.TemporaryDirectory() as folder:
        url = copy_of_store(data, Path(folder))
        file = _items(Path(folder) / "items.jsonl")
        requests = [send("POST", "/v1/recommendations", {"history": history}) for history in histories(data)]
        with serving(url) as server:
            before = [s for _ in range(BASE_ROUNDS) for s in server.drive(requests, connections=CLIENTS).seconds]
            during, seconds = _during_import(server, requests, url, file)
    old, new = (float(np.quantile(seconds, 0.99)) for seconds in (before, during))
    say(f"p99 before {old * 1000:.1f} ms, during {new * 1000:.1f} ms; all texts count after {seconds:.0f} s")
    yield at_most(
        f"p99 of answers while another process imports {ITEMS:,} items of {WORDS} words, over that before",
        new / old,
        5,
        seed=0,
        n=len(during),
        ms={"before": old * 1000, "during": new * 1000, "longest": max(during) * 1000},
        seconds=seconds,
    )


def _during_import(server: Server, requests: list[bytes], url: str, file: Path) -> tuple[list[float], float]:
    """Seconds of each answer, and those until all imported texts count."""
    started, during = time.monotonic(), list[float]()
    environment = os.environ | {"RECSYS_DATABASE_URL": url, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from recsys.cli import app; app()", "import", "items", str(file)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        while time.monotonic() < started + MAX_SECONDS:
            during += server.drive(requests, connections=CLIENTS).seconds
            if process.poll() == 0 and not json.loads(server.ask(get("/readyz")))["reasons"]:
                return during, time.monotonic() - started
        process.terminate()
    raise TimeoutError(f"texts do not count after {MAX_SECONDS} s")


def copy_of_store(data: Path, folder: Path) -> str:
    shutil.copy(imported(data, SET).removeprefix("sqlite:///"), folder / "recsys.db")
    url = f"sqlite:///{folder}/recsys.db"
    store = Store.open(url)
    store.add_bundle(trained(data), {})
    store.activate_bundle(trained(data))
    store.close()
    return url


def _items(path: Path) -> Path:
    """Items of made-up words."""
    generator = np.random.default_rng(0)
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    with path.open("w", encoding="utf-8") as file:
        for number in range(ITEMS):
            words = generator.choice(syllables, size=(WORDS, 2)).tolist()
            title = " ".join("".join(word) for word in words)
            file.write(json.dumps({"item_id": f"long-{number}", "title": title}) + "\n")
    return path


def histories(data: Path) -> list[list[str]]:
    events = pl.read_parquet(data / SET / "interactions.parquet", columns=["user_id", "item_id", "position"])
    users = events.sort("user_id", "position").group_by("user_id", maintain_order=True).agg(pl.col("item_id").tail(50))
    return users["item_id"].to_list()[:REQUESTS]


BENCHES = {"sync": answers_during_import}
