"""What the benchmark programs share: rows that hold or do not, artefacts kept by what they were made of, two workers."""

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
KEPT = ROOT / "artifacts" / "benchmarks"
CODE = ("recsys", "models", "features", "tests/benchmarks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure: `must` says what it has to be, `seed` and `n` under which seeds and over how many it was measured."""

    what: str
    value: Any
    must: str
    holds: bool
    seed: Any
    n: int


def at_least(what: str, value: float, bound: float, *, seed: Any, n: int, **more: Any) -> Row:
    """A row that holds from `bound` on; `more` stands beside the value."""
    shown = {"value": value, **more} if more else value
    return Row(what=what, value=shown, must=f">= {bound}", holds=value >= bound, seed=seed, n=n)


Bench = Callable[[Path], Iterable[Row]]


def main(benches: Mapping[str, Bench], arguments: Sequence[str] | None = None) -> int:
    """Runs all rows, or the one named; prints each as a JSON line at the end. Gives 1 where one does not hold.

    A failure in the middle still prints the rows before it.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path, help="folder of data sets")
    parser.add_argument("--row", choices=list(benches), help="run this one alone")
    asked = parser.parse_args(arguments)
    if not asked.data.is_dir():
        parser.error(f"no such folder: {asked.data}")
    rows: list[Row] = []
    try:
        for name, bench in benches.items():
            if asked.row in (None, name):
                started = time.monotonic()
                rows.extend(bench(asked.data.resolve()))  # keeps what came before a failure
                say(f"{name}: {time.monotonic() - started:.0f} s")
    finally:
        for row in rows:
            sys.stdout.write(json.dumps(asdict(row), default=_plain) + "\n")
    return 0 if all(row.holds for row in rows) else 1


def _plain(value: Any) -> Any:
    """numpy's numbers, truth values and arrays as Python's own."""
    return value.tolist()


def say(text: str) -> None:
    """Progress, beside the figures."""
    sys.stderr.write(text + "\n")


def place(*made_of: Any, files: Iterable[Path] = ()) -> Path:
    """A path of its own for whatever is made of these settings, these files, and the code as it is."""
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode())
    for path in (*files, *sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))):
        digest.update(path.name.encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return KEPT / digest.hexdigest()[:20]


def peak_megabytes() -> float:
    """What this process held at its highest. `getrusage` would give that of the process that started it, where it was more."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


def in_two_workers(work: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    """The results of `work(*job)` in the order of `jobs`, two at a time, each with one thread.

    The first failure ends it: jobs that have not begun are dropped.
    """
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # read by torch when a worker imports it
    pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
    try:
        futures: list[Future[Any]] = [pool.submit(work, *job) for job in jobs]
        for job, future in zip(jobs, futures, strict=True):
            result = future.result()
            say(f"done: {job}")
            yield result
    finally:
        pool.shutdown(cancel_futures=True)
