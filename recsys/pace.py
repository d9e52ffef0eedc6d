"""How often a long step reports progress, and generators that are run for their result alone."""

import time
from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")

SECONDS_BETWEEN_FACTS = 5.0


class Pace:
    """Says when a step has been silent for long enough to report a fact of its progress."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def is_due(self) -> bool:
        now = time.monotonic()
        if now - self._last < SECONDS_BETWEEN_FACTS:
            return False
        self._last = now
        return True


def result_of(facts: Generator[object, None, Result]) -> Result:
    """What `facts` return at their end, the facts themselves passed over."""
    while True:
        try:
            next(facts)
        except StopIteration as end:
            result: Result = end.value
            return result
