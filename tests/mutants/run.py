"""Breaks lines that carry an idea, each in a copy of its own, and runs the tests that should notice.

    make mutants [TECHNIQUE=set-process]

A mutant that survives is an idea that no test holds to: write the test. A line that is no longer found is an error.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutants.lines import MUTANTS, Mutant

ROOT = Path(__file__).parent.parent.parent
COPIED = ("api", "features", "migrations", "models", "recsys", "tests", "pyproject.toml")


def survivors(mutants: Iterable[Mutant]) -> list[Mutant]:
    """The mutants whose tests pass all the same; says of each what became of it.

    Raises:
        LookupError: a line is not in its file, or its tests fail before it is broken.
    """
    alive, sound = list[Mutant](), set[str]()
    with TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder)
        _copy(copy)
        for mutant in mutants:
            if mutant.tests not in sound and not _passes(copy, mutant.tests):
                raise LookupError(f"{mutant.tests} fails with nothing broken: run it by itself first")
            sound.add(mutant.tests)
            original = (ROOT / mutant.file).read_text(encoding="utf-8")
            (copy / mutant.file).write_text(mutant.applied(original), encoding="utf-8")
            killed = not _passes(copy, mutant.tests)
            (copy / mutant.file).write_text(original, encoding="utf-8")
            alive += [] if killed else [mutant]
            fate = "killed" if killed else "SURVIVED"
            sys.stdout.write(f"{fate:8}  {mutant.technique}: {mutant.broken}  ({mutant.tests})\n")
            sys.stdout.flush()
    return alive


def _copy(folder: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(source, folder / name)


def _passes(folder: Path, tests: str) -> bool:
    """Whether the tests pass in the copy.

    Raises:
        LookupError: pytest found none of them, or could not run.
    """
    command = [sys.executable, "-m", "pytest", "--quiet", "--exitfirst", "-p", "no:cacheprovider", tests]
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode > 1:
        raise LookupError(f"pytest could not run {tests}:\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Break lines that carry an idea; every one has to fail a test.")
    parser.add_argument(
        "technique", nargs="?", choices=sorted({name for mutant in MUTANTS for name in mutant.techniques})
    )
    chosen = parser.parse_args().technique
    alive = survivors(mutant for mutant in MUTANTS if chosen is None or chosen in mutant.techniques)
    sys.stdout.write(f"{len(alive)} survived\n")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
