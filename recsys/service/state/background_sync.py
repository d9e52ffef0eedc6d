"""Follows the store in a thread of its own, so that no answer waits for what other processes write."""

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
"""Seconds after which the store is asked again whether another process wrote something."""
MAX_WAIT = 0.02
"""Seconds that a question waits for a poll, at most: long enough for what one request of another process wrote."""


class BackgroundSync:
    """Runs `step`, which reads what is new and does part of the work that follows, until it returns False: nothing is left.

    Questions start it by `poke`; between two polls, and while the thread works, that costs nothing.
    """

    def __init__(self, step: Callable[[], bool]) -> None:
        self._step = step
        self._due, self._polled = threading.Event(), threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._busy = self._closing = False
        self.next_poll = 0.0

    def poke(self) -> None:
        """Has the store polled, where that was not done lately; waits for the poll, but not long."""
        if time.monotonic() < self.next_poll or self._busy:
            return
        self._polled.clear()
        self.start()
        self._polled.wait(MAX_WAIT)

    def start(self) -> None:
        """Starts a run of steps, or one more after the present one."""
        with self._starting:
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="sync", daemon=True)
                self._thread.start()
        self._due.set()

    def close(self) -> None:
        """Ends the thread after the present step."""
        with self._starting:
            self._closing = True
        self._due.set()
        if self._thread is not None:
            self._thread.join()

    def wait(self, seconds: float = 60.0) -> None:
        """Waits until nothing is left to do.

        Raises:
            TimeoutError: it still has work after `seconds`.
        """
        until = time.monotonic() + seconds
        while self._busy or self._due.is_set():
            if time.monotonic() > until:
                raise TimeoutError(f"the store was not followed within {seconds:g} s")
            time.sleep(0.001)

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._busy = True
            self._due.clear()
            while not self._closing and self._step_and_note():
                pass
            self._busy = False
            if self._closing:
                return

    def _step_and_note(self) -> bool:
        try:
            return self._step()
        except Exception:
            log.exception("the store was not followed: tried again with the next question")
            return False
        finally:
            self.next_poll = time.monotonic() + POLL_SECONDS
            self._polled.set()
