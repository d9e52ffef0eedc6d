"""Shared by the benchmark programs: rows with bounds, artefacts named by what they are made of, earlier commits, workers."""

import argparse
import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).parent.parent.parent
ARTIFACTS = ROOT / "artifacts" / "benchmarks"
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
    figures = {"value": value, **more} if more else value
    return Row(what=what, value=figures, must=f">= {bound}", holds=value >= bound, seed=seed, n=n)


def at_most(what: str, value: float, bound: float, *, seed: Any, n: int, **more: Any) -> Row:
    """A row that holds up to `bound`."""
    row = at_least(what, value, bound, seed=seed, n=n, **more)
    return replace(row, must=f"<= {bound}", holds=value <= bound)


Bench = Callable[[Path], Iterable[Row]]
Comparison = Callable[[Path, str], Iterable[Row]]
"""Compares the working tree with an earlier commit on the data sets of a folder."""


def main(
    benches: Mapping[str, Bench],
    arguments: Sequence[str] | None = None,
    *,
    comparisons: Mapping[str, Comparison] = MappingProxyType({}),
) -> int:
    """Runs all rows, or the chosen ones; prints each as a JSON line at the end. Returns 1 if a row does not hold.

    `--row house` runs `house-lists`, `house-speed` and all others of that prefix. Comparisons run if `--base` names a commit.
    A failure in the middle still prints the rows before it.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path, help="folder of data sets")
    names = [*benches, *comparisons]
    groups = {name.partition("-")[0] for name in comparisons}
    parser.add_argument("--row", choices=list(dict.fromkeys([*names, *sorted(groups)])), help="run this one alone")
    parser.add_argument("--base", help="commit to compare with")
    options = parser.parse_args(arguments)
    if not options.data.is_dir():
        parser.error(f"no such folder: {options.data}")
    chosen = [name for name in names if options.row in (None, name) or name.startswith(f"{options.row}-")]
    if options.row and not options.base and not benches.keys() >= set(chosen):
        parser.error(f"{options.row} compares with an earlier commit: say which one (make bench ... BASE=COMMIT)")
    data, rows = options.data.resolve(), list[Row]()
    try:
        for name in chosen:
            started = time.monotonic()
            if name in benches:
                rows.extend(benches[name](data))  # keeps what came before a failure
            elif options.base:
                rows.extend(comparisons[name](data, options.base))
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


def artifact(*made_of: Any, files: Iterable[Path] = (), code: Iterable[str] | None = None, tree: Path = ROOT) -> Path:
    """A path of its own for whatever is made of these settings, these files, and the code in `tree` as it is.

    `code` names the folders and modules that it depends on; by default all.
    """
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode())
    sources = [tree / name for name in code or CODE]
    modules = [path for source in sources for path in ([source] if source.is_file() else source.rglob("*.py"))]
    for path in (*files, *sorted(modules)):
        digest.update(path.name.encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return ARTIFACTS / digest.hexdigest()[:20]


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """A worktree of `commit`, removed afterwards."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=ARTIFACTS, prefix="worktree-") as folder:
        tree = Path(folder) / "tree"
        _git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=ROOT, check=True, stdout=sys.stderr)


def peak_megabytes() -> float:
    """Peak memory of this process. `getrusage` would give that of the process that started it, where it was more."""
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
