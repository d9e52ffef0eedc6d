"""Slow tests start every worker's share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from tests.ordering import spread


@dataclass(frozen=True)
class Item:
    """What `spread` asks of a test."""

    name: str
    slow: bool = False

    @property
    def path(self) -> Path:
        return Path(self.name.partition("::")[0])

    def get_closest_marker(self, name: str) -> bool:
        return self.slow and name == "slow"


QUICK = [Item(f"quick.py::{number}") for number in range(7)]
SLOW = [Item("a.py::1", slow=True), Item("b.py::1", slow=True), Item("a.py::2", slow=True), Item("c.ipynb::")]


def order(items: list[Item], *, workers: int) -> list[str]:
    return [item.name for item in spread(cast("Any", items), workers=workers)]


def test_notebooks_come_first_then_slow_tests_by_file_then_the_others() -> None:
    names = ["c.ipynb::", "a.py::1", "a.py::2", "b.py::1", *(item.name for item in QUICK)]
    assert order([*QUICK, *SLOW], workers=1) == names


def test_the_share_of_every_worker_begins_with_slow_files() -> None:
    first, second = ["c.ipynb::", "b.py::1"], ["a.py::1", "a.py::2"]
    names = order([*QUICK, *SLOW], workers=2)
    assert (names[:2], names[5:7]) == (first, second)


@pytest.mark.parametrize("workers", [1, 2, 3, 20])
@pytest.mark.parametrize("items", [[], QUICK, SLOW, [*SLOW, *QUICK]])
def test_none_is_lost(items: list[Item], workers: int) -> None:
    assert sorted(order(items, workers=workers)) == sorted(item.name for item in items)
