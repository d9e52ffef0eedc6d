"""Requests a second and batch scoring now against an earlier commit, each by its own `strength` benchmark; seconds of the tests.

Both sides take turns, so that a machine that others use too slows both alike.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.harness import ROOT, Row, at_least, checkout, say

ROUNDS = 2
MIN_RATIO = 0.97
MAX_SECONDS = {"test": 480, "test-quick": 90}

Figures = dict[str, list[dict[str, Any]]]
"""The value of each row of `strength`, round by round."""


def speed(data: Path, base: str) -> Iterator[Row]:
    """Ratios above 1 say that the code is faster now."""
    sides: dict[str, Figures] = {"before": {}, "now": {}}
    with checkout(base) as tree:
        for _ in range(ROUNDS):
            for row in ("serving", "batch"):
                for side, folder in (("before", tree), ("now", ROOT)):
                    for what, value in _strength(folder, data, row):
                        sides[side].setdefault(what, []).append(value)
    for what in sides["now"]:
        if what.startswith("requests/s"):
            yield _compared(what, sides, figure="requests_a_second")
        elif "over bare" in what:
            yield _compared(what, sides, figure="value", lower_is_better=True)


def tests(_: Path) -> Iterator[Row]:
    """`make test` and `make test-quick`."""
    for target, bound in MAX_SECONDS.items():
        started = time.monotonic()
        done = subprocess.run(["make", target], cwd=ROOT, check=False, stdout=sys.stderr)
        seconds = time.monotonic() - started
        holds = done.returncode == 0 and seconds <= bound
        yield Row(what=f"make {target}, seconds", value=seconds, must=f"<= {bound}", holds=holds, seed=0, n=1)


def _strength(tree: Path, data: Path, row: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of the benchmark in `tree`, whose status says only whether its own bounds hold."""
    command = [sys.executable, "-m", "tests.benchmarks.benchmark_strength", str(data), "--row", row]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, cwd=tree, env=environment)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    if not lines:
        raise RuntimeError(f"the benchmark in {tree} ended with status {done.returncode} and without a row")
    for line in lines:
        say(f"{tree}: {line['what']}: {line['value']}")
        yield line["what"], line["value"]


def _compared(what: str, sides: dict[str, Figures], *, figure: str, lower_is_better: bool = False) -> Row:
    before, now = ([float(value[figure]) for value in sides[side][what]] for side in ("before", "now"))
    ratio = float(np.median(now) / np.median(before))
    return at_least(
        f"now over before: {what}",
        1 / ratio if lower_is_better else ratio,
        MIN_RATIO,
        seed=0,
        n=ROUNDS,
        before=before,
        now=now,
    )


BENCHES = {"house-tests": tests}
COMPARISONS = {"house-speed": speed}
