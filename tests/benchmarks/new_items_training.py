"""A training on a large catalogue: time, peak memory of the process, and the longest silence between two lines of progress."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import polars as pl

from recsys.importing.files import import_events, import_items, import_playlists
from recsys.store import Store
from recsys.store.sessions import upgrade
from tests.benchmarks.harness import ROOT, Row, artifact, at_most, say

MINUTES, GIGABYTES, SILENCE_SECONDS = 45, 6, 10
POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Observed:
    """A command that has ended."""

    minutes: float
    gigabytes: float
    silence: float
    after: str
    """The line before the longest silence."""


def train_large(data: Path) -> Iterator[Row]:
    """`recsys train blend` on `mpd_popular`, whose lists are also histories; RECSYS_BENCH_LISTS takes the first ones alone.

    A run that was interrupted goes on, but its time is that of the last part: measure a whole one.
    """
    lists = int(os.environ.get("RECSYS_BENCH_LISTS", "0")) or None
    folder = imported(data, lists=lists)
    observed = watched(
        [str(Path(sys.executable).with_name("recsys")), "train", "blend", "--resume"],
        folder / "train.log",
        RECSYS_DATABASE_URL=f"sqlite:///{folder}/recsys.db",
        RECSYS_BUNDLES=str(folder / "bundles"),
        RECSYS_CHECKPOINTS=str(folder / "checkpoints"),
        RECSYS_TEXT_ENCODER="packaged",
        RECSYS_THREADS="2",
    )
    what, n = "recsys train blend on mpd_popular, its lists also histories", lists or 6071
    yield at_most(f"{what}: minutes", observed.minutes, MINUTES, seed=0, n=n)
    yield at_most(f"{what}: peak memory, GB", observed.gigabytes, GIGABYTES, seed=0, n=n)
    yield at_most(f"{what}: longest silence, s", observed.silence, SILENCE_SECONDS, seed=0, n=n, after=observed.after)


def imported(data: Path, *, lists: int | None) -> Path:
    """The folder of a store with the items, the lists, and each list as the history of a user; made once."""
    source = data / "mpd_popular"
    folder = artifact("train-large", lists, files=[source / "items.parquet"], code=["recsys/importing", "recsys/store"])
    if not (folder / "ready").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "recsys.db").unlink(missing_ok=True)
        _write_files(source, folder, lists=lists)
        upgrade(f"sqlite:///{folder}/recsys.db")
        store = Store.open(f"sqlite:///{folder}/recsys.db")
        for name, take in (("items", import_items), ("events", import_events), ("playlists", import_playlists)):
            *_, report = take(store, folder / f"{name}.parquet")
            say(f"{name}: {report}")
        store.close()
        (folder / "ready").touch()
    return folder


def _write_files(source: Path, folder: Path, *, lists: int | None) -> None:
    playlists = pl.read_parquet(source / "playlists.parquet")
    if lists is not None:
        first = playlists["playlist_id"].unique(maintain_order=True).head(lists)
        playlists = playlists.filter(pl.col("playlist_id").is_in(first.implode()))
    items = pl.read_parquet(source / "items.parquet")
    if lists is not None:
        items = items.filter(pl.col("item_id").is_in(playlists["item_id"].unique().implode()))
    items.write_parquet(folder / "items.parquet")
    playlists.write_parquet(folder / "playlists.parquet")
    events = playlists.select(pl.col("playlist_id").alias("user_id"), "item_id", "position")
    events.write_parquet(folder / "events.parquet")


def watched(command: list[str], log: Path, **environment: str) -> Observed:
    """Runs `command` to its end, with its lines in `log`.

    Raises:
        CalledProcessError: it failed; the log says why.
    """
    started, lines = time.monotonic(), list[tuple[float, str]]()
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=os.environ | environment | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)},
        )
        peak = list[float]()
        clock = threading.Thread(target=_measure, args=(process, peak))
        clock.start()
        assert process.stdout is not None
        for line in process.stdout:
            lines.append((time.monotonic(), line.rstrip()))
            out.write(f"{lines[-1][0] - started:8.1f} {line}")
            out.flush()
        status = process.wait()
        clock.join()
    if status:
        raise subprocess.CalledProcessError(status, command, output=f"see {log}")
    lines.append((time.monotonic(), "the end"))
    assert len(lines) > 1, f"nothing was printed: see {log}"
    gaps = [(after[0] - before[0], before[1]) for before, after in pairwise(lines)]
    silence, line = max(gaps)
    return Observed((time.monotonic() - started) / 60, max(peak, default=0.0), silence, line)


def _measure(process: "subprocess.Popen[str]", peak: list[float]) -> None:
    """Appends the peak memory in GB for as long as the process lives."""
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        except OSError:
            return
        if line := re.search(r"VmHWM:\s+(\d+)", status):
            peak.append(int(line[1]) / 1e6)
        time.sleep(POLL_SECONDS)


BENCHES = {"train-large": train_large}
