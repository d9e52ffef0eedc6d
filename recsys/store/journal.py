"""Impressions on their way to the store: queued by requests, written in batches by one thread."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from recsys.errors import Busy, StoreError
from recsys.store.records import Impression

log = logging.getLogger(__name__)

ROWS_PER_WRITE = 1000
POLL_SECONDS = 0.1
"""Time between two looks at the queue: to wake the thread for each impression would cost requests more than writing it."""
MAX_QUEUED = 10_000
TIDY_SECONDS, PAUSE_SECONDS = 1, 60
"""Time between two calls of `tidy`, and after one that failed."""


class Journal:
    """Takes impressions without waiting. A full queue drops the newest and counts it: requests never wait for a disk.

    Between two batches its thread calls `tidy`, for work on the store that no request may wait for.
    """

    def __init__(self, write: Callable[[Sequence[Impression]], None], tidy: Callable[[], None] = lambda: None) -> None:
        self._write, self._tidy = write, tidy
        self._next_tidy = time.monotonic() + TIDY_SECONDS
        self._queued = deque[Impression]()
        self._closing = threading.Event()
        self._writing = threading.Lock()
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="impressions", daemon=True)
        self._thread.start()

    def add(self, impression: Impression) -> None:
        if len(self._queued) >= MAX_QUEUED:
            self.dropped += 1
        else:
            self._queued.append(impression)

    def flush(self) -> None:
        """Writes everything queued so far."""
        with self._writing:
            while batch := [self._queued.popleft() for _ in range(min(ROWS_PER_WRITE, len(self._queued)))]:
                self._save(batch)

    def close(self) -> None:
        """Writes what is queued and stops."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(POLL_SECONDS):
            self.flush()
            if time.monotonic() >= self._next_tidy:
                self._next_tidy = time.monotonic() + self._tidy_up()
        self.flush()

    def _tidy_up(self) -> float:
        """Seconds until the next time."""
        try:
            self._tidy()
        except (Busy, StoreError):
            log.exception("old impressions stay until later")
            return PAUSE_SECONDS
        return TIDY_SECONDS

    def _save(self, impressions: Sequence[Impression]) -> None:
        try:
            self._write(impressions)
        except (Busy, StoreError):
            self.dropped += len(impressions)
            log.exception("impressions lost", extra={"count": len(impressions)})
