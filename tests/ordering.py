"""The order in which the tests run: slow files first, shared out among the workers of pytest-xdist."""

from collections.abc import Sequence
from itertools import islice

import pytest


def spread(items: Sequence[pytest.Item], *, workers: int) -> list[pytest.Item]:
    """The tests in an order whose equal shares, with which `--dist=worksteal` starts the workers, each begin with slow files.

    Notebooks are the slowest. The slow tests of a file stay with one worker, and so do the fixtures that they share; quick
    tests at the end of a share go to whichever worker is done first.
    """
    slow = [item for item in items if item.get_closest_marker("slow") or item.path.suffix == ".ipynb"]
    quick = (item for item in items if item not in slow)
    files = sorted({item.path for item in slow}, key=lambda path: (path.suffix != ".ipynb", path))
    ordered: list[pytest.Item] = []
    for number in range(workers):
        ordered += [item for path in files[number::workers] for item in slow if item.path == path]
        ordered += islice(quick, max(0, (number + 1) * len(items) // workers - len(ordered)))
    return [*ordered, *quick]
