"""Reads while writers wait for SQLite's lock, and two servers on one PostgreSQL whose writers meet in the same rows."""

import http.client
import json
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from recsys.store import Store
from recsys.store.records import EventDraft, ItemDraft
from recsys.store.sessions import upgrade
from tests.benchmarks.harness import Row, at_most
from tests.benchmarks.strength_client import Server, serving
from tests.servers import postgresql

ITEMS = tuple(f"i{number}" for number in range(100))
LOCKED_SECONDS, WAITING_WRITERS, READERS = 13.0, 60, 4
MAX_P99_SECONDS = 0.1
READ_PATHS = (
    "/v1/users/u/recommendations",
    "/v1/items/i1",
    "/v1/items?query=i",
    "/v1/playlists/p",
    "/healthz",
    "/metrics",
)
REQUESTS, CLIENTS = 10_000, 8

Write = tuple[str, str, Any]
"""Method, path and body."""


def waiting(_: Path) -> Iterator[Row]:
    """Reads of each kind, while `WAITING_WRITERS` requests write and another process holds the lock."""
    with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
        url = f"sqlite:///{folder}/store.db"
        _fill(url)
        with serving(url) as server, ThreadPoolExecutor(WAITING_WRITERS + READERS) as threads:
            with _locked(f"{folder}/store.db"):
                until = time.monotonic() + LOCKED_SECONDS
                writes = [threads.submit(_send, server, [_event(number)]) for number in range(WAITING_WRITERS)]
                time.sleep(1)  # until all of them wait
                seconds = [threads.submit(_get_in_turn, server, until) for _ in range(READERS)]
                answers = [answer for future in seconds for answer in future.result()]
            statuses = sum((future.result() for future in writes), Counter[int]())
    failed = sum(status >= 400 for status, _ in answers)
    p99 = float(np.quantile([wait for _, wait in answers], 0.99))
    yield at_most(
        f"p99 seconds of reads, SQLite locked for {LOCKED_SECONDS:.0f} s and {WAITING_WRITERS} writers waiting",
        p99 if not failed else float("inf"),
        MAX_P99_SECONDS,
        seed=0,
        n=len(answers),
        longest=max(wait for _, wait in answers),
        failed=failed,
        statuses_of_writes=dict(statuses),
    )


def meeting(_: Path) -> Iterator[Row]:
    """Requests to two servers that put and delete one playlist, and delete one user whose events others send again."""
    with postgresql(Path(tempfile.mkdtemp(prefix="recsys-"))) as database, ExitStack() as stack:
        _fill(database.url)
        servers = [stack.enter_context(serving(database.url)) for _ in range(2)]
        kinds: Sequence[Callable[[int], Write]] = (_playlist, _event, _no_playlist, _no_user)
        share = REQUESTS // CLIENTS
        with ThreadPoolExecutor(CLIENTS) as threads:
            work = [
                threads.submit(_send, servers[client % 2], [kinds[client // 2](number % 5) for number in range(share)])
                for client in range(CLIENTS)
            ]
            statuses = sum((future.result() for future in work), Counter[int]())
    failed = sum(count for status, count in statuses.items() if status >= 500)
    yield Row(
        what="5xx of two servers on PostgreSQL that write the same playlist and user",
        value={"value": failed, "statuses": dict(statuses)},
        must=f"0 of {REQUESTS:,}",
        holds=failed == 0,
        seed=0,
        n=statuses.total(),
    )


def _fill(url: str) -> None:
    upgrade(url)
    with closing(Store.open(url)) as store:
        store.put_items([ItemDraft(item_id=item_id, title=item_id) for item_id in ITEMS])
        store.add_events([EventDraft(user_id="u", item_id=item_id) for item_id in ITEMS[:10]])
        store.put_playlist("p", "P", ITEMS[:5])


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Another writer's transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def _event(number: int) -> Write:
    return (
        "POST",
        "/v1/events",
        {"user_id": "u", "item_id": ITEMS[number], "event_id": f"e{number}", "at": "2026-01-01T00:00Z"},
    )


def _playlist(number: int) -> Write:
    return "PUT", "/v1/playlists/p", {"item_ids": ITEMS[number:]}


def _no_playlist(_: int) -> Write:
    return "DELETE", "/v1/playlists/p", None


def _no_user(_: int) -> Write:
    return "DELETE", "/v1/users/u", None


def _send(server: Server, writes: Sequence[Write]) -> Counter[int]:
    """The statuses of the answers, one request after the other."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)) as connection:
        return Counter(_status(connection, *write) for write in writes)


def _get_in_turn(server: Server, until: float) -> list[tuple[int, float]]:
    """Status and seconds of each read, of all kinds in turn."""
    answers = list[tuple[int, float]]()
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)) as connection:
        while time.monotonic() < until:
            started = time.perf_counter()
            status = _status(connection, "GET", READ_PATHS[len(answers) % len(READ_PATHS)], None)
            answers.append((status, time.perf_counter() - started))
            time.sleep(0.005)
    return answers


def _status(connection: http.client.HTTPConnection, method: str, path: str, body: Any) -> int:
    content = None if body is None else json.dumps(body)
    connection.request(method, path, body=content, headers={"Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    return response.status


BENCHES = {"waiting": waiting, "meeting": meeting}
