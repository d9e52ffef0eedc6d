"""Follows the active bundle in a thread of its own: loads it beside the one that answers, and swaps the two."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from recsys.service.state.item_changes import STORE_AWAY
from recsys.store.records import Activation

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 5.0, 300.0
"""Pauses between attempts to load a bundle that failed: each is twice as long as the one before."""
CLOSE_SECONDS = 2.0
"""Longest wait at the end for a bundle that is being loaded."""
TURN_SECONDS = 0.0005
"""How long the thread that loads may keep those that answer waiting, each time they need the interpreter; Python's own: 0.005."""


class HotUpdate:
    """Polls `activation`, which names the active bundle; `load` loads the one at a URI and returns what swaps it in. `served` is
    the activation that answers already. Until `start` nothing is followed.

    Of several activations the last one counts: those that ended while another bundle was being loaded are skipped. A bundle
    that fails is tried again after growing pauses, or when it is activated again; meanwhile the one before answers.
    """

    def __init__(
        self,
        activation: Callable[[], Activation | None],
        load: Callable[[str], Callable[[], None]],
        *,
        served: Activation | None,
    ) -> None:
        self._activation, self._load, self._served = activation, load, served
        self._active = served
        self._problem: str | None = None
        self._pause, self._retry_at = FIRST_RETRY_SECONDS, 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hot-update", daemon=True)

    @property
    def active(self) -> str | None:
        """The active bundle as the store last named it."""
        return self._active.uri if self._active else None

    @property
    def problem(self) -> str | None:
        """Why the active bundle does not answer; None where it does."""
        return self._problem

    def start(self) -> None:
        """Follows the active bundle from now on."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread. A bundle that is being loaded is not waited for long: nothing of it will be used."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def step(self) -> None:
        """Asks the store once, and loads what became active."""
        active = self._activation()
        if active != self._active:
            self._active, self._problem = active, None
            self._pause, self._retry_at = FIRST_RETRY_SECONDS, 0.0
        if active is None or active == self._served or time.monotonic() < self._retry_at:
            return
        try:
            self._update(active)
        except STORE_AWAY:
            raise
        except Exception as error:  # noqa: BLE001  (whatever a bundle makes of it: the one before answers)
            self._note_failure(active, error)

    def _update(self, active: Activation) -> None:
        self._problem = self._problem or f"{active.uri} is active and being loaded"
        with _short_turns():
            swap = self._load(active.uri)
        if self._closing.is_set() or self._is_taken_back(active):
            return
        swap()
        self._served, self._problem = active, None
        log.info("%s answers from now on", active.uri)

    def _is_taken_back(self, loaded: Activation) -> bool:
        """Has the bundle that answers been activated again, after the one that was loaded?"""
        newest = self._activation()
        return bool(newest and self._served and newest != loaded and newest.uri == self._served.uri)

    def _note_failure(self, active: Activation, error: Exception) -> None:
        reason = " ".join(str(error).split()) or type(error).__name__
        problem = f"{active.uri} is active, but cannot be served: {reason}"
        if problem != self._problem:
            log.error("%s", problem)
        self._problem = problem
        self._retry_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LAST_RETRY_SECONDS)

    def _run(self) -> None:
        while not self._closing.wait(POLL_SECONDS):
            try:
                self.step()
            except STORE_AWAY:  # asked again; that it is away is said where changes are followed
                continue
            except Exception:
                log.exception("the active bundle was not followed: asked again")


@contextmanager
def _short_turns() -> Iterator[None]:
    """Threads of this process take turns quickly in the block."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
