"""Impressions reach the store without a request waiting for it."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from recsys.errors import StoreError
from recsys.store import journal
from recsys.store.journal import Journal
from recsys.store.records import Impression


def impression(number: int) -> Impression:
    return Impression(str(number), None, None, [], datetime.now(UTC))


def test_everything_queued_is_written_in_order_and_in_batches() -> None:
    batches: list[list[str]] = []
    writer = Journal(lambda batch: batches.append([queued.request_id for queued in batch]))
    for number in range(1000):
        writer.add(impression(number))
    writer.close()
    assert [name for batch in batches for name in batch] == [str(number) for number in range(1000)]
    assert len(batches) < 1000
    assert writer.dropped == 0


def test_a_full_queue_drops_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_QUEUED", 5)
    gate, written = threading.Event(), list[str]()

    def slow(batch: Sequence[Impression]) -> None:
        gate.wait()
        written.extend(queued.request_id for queued in batch)

    writer = Journal(slow)
    for number in range(500):
        writer.add(impression(number))
    gate.set()
    writer.close()
    assert writer.dropped > 0
    assert len(written) + writer.dropped == 500


def test_a_database_that_fails_once_costs_one_batch() -> None:
    written: list[str] = []
    failing = [True]

    def write(batch: Sequence[Impression]) -> None:
        if failing.pop() if failing else False:
            raise StoreError("gone")
        written.extend(queued.request_id for queued in batch)

    writer = Journal(write)
    writer.add(impression(1))
    writer.flush()
    writer.add(impression(2))
    writer.close()
    assert written == ["2"]
    assert writer.dropped == 1
