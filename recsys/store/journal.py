"""Impressions on their way to the store: queued by requests, written in batches by one thread."""

import logging
import queue
import threading
from collections.abc import Callable, Sequence

from recsys.errors import StoreError
from recsys.store.records import Impression

log = logging.getLogger(__name__)

BATCH = 200
QUEUED_AT_MOST = 10_000


class Journal:
    """Takes impressions without waiting. A full queue drops the newest and counts it: requests never wait for a disk."""

    def __init__(self, write: Callable[[Sequence[Impression]], None]) -> None:
        self._write = write
        self._queue: queue.Queue[Impression | None] = queue.Queue(maxsize=QUEUED_AT_MOST)
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="impressions", daemon=True)
        self._thread.start()

    def add(self, impression: Impression) -> None:
        try:
            self._queue.put_nowait(impression)
        except queue.Full:
            self.dropped += 1

    def flush(self) -> None:
        """Waits until everything queued so far is written."""
        self._queue.join()

    def close(self) -> None:
        """Writes what is queued and stops."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        closing = False
        while not closing:
            batch = [self._queue.get()]
            while len(batch) < BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            closing = None in batch
            self._save([impression for impression in batch if impression is not None])
            for _ in batch:
                self._queue.task_done()

    def _save(self, impressions: Sequence[Impression]) -> None:
        if not impressions:
            return
        try:
            self._write(impressions)
        except StoreError:
            self.dropped += len(impressions)
            log.exception("impressions lost", extra={"count": len(impressions)})
