"""Progress of a training, line by line, also while one step of it takes long."""

import time
from threading import Event, Thread
from types import TracebackType
from typing import Self

from rich.text import Text

from recsys.cli.shared import console

MAX_SILENCE_SECONDS = 8.0


class ProgressLines:
    """Prints facts as they come; where none comes for `MAX_SILENCE_SECONDS`, a thread says what goes on and for how long.

    The thread only prints: the work stays where an interruption reaches it.
    """

    def __init__(self) -> None:
        self._news, self._has_ended = Event(), False
        self._part, self._since = "", time.monotonic()
        self._clock = Thread(target=self._fill_silence, name="progress", daemon=True)

    def add(self, part: str, fact: str) -> None:
        self._part, self._since = part, time.monotonic()
        self._news.set()
        _print(part, fact)

    def _fill_silence(self) -> None:
        while not self._has_ended:
            if not self._news.wait(MAX_SILENCE_SECONDS) and self._part:
                _print(self._part, f"still at it, {time.monotonic() - self._since:.0f} s so far")
            self._news.clear()

    def __enter__(self) -> Self:
        self._clock.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._has_ended = True
        self._news.set()
        self._clock.join()


def _print(part: str, fact: str) -> None:
    console.print(Text.assemble((part, "bold"), " ", fact), soft_wrap=True)
