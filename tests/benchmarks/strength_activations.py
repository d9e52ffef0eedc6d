"""Answers of two servers while bundles are activated, several at a time, each by a process of its own store."""

import json
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import numpy as np

from recsys.store import Store
from tests.benchmarks.harness import Row, say
from tests.benchmarks.strength_client import Server, get, send, serving
from tests.benchmarks.strength_sync import copy_of_store, histories
from tests.benchmarks.strength_world import trained

ACTIVATIONS, AT_ONCE, CLIENTS, COPIES = 800, 4, 8, 4
PAUSE_SECONDS = 0.5
"""After each `AT_ONCE` activations: long enough for the servers to follow some of them."""
BASE_SECONDS, FOLLOW_SECONDS = 30.0, 5.0
MAX_SLOWDOWN = 2.0


@dataclass(slots=True)
class Answers:
    """Seconds of each answer, how many had which bundle, and how many requests failed."""

    seconds: list[float] = field(default_factory=list)
    bundles: Counter[str] = field(default_factory=Counter)
    failed: int = 0


def activations(data: Path) -> Iterator[Row]:
    """`CLIENTS` clients ask two servers before and during `ACTIVATIONS` activations of copies of a bundle."""
    with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
        uris = [shutil.copytree(trained(data), f"{folder}/bundle-{number}") for number in range(COPIES)]
        requests = [send("POST", "/v1/recommendations", {"history": history}) for history in histories(data)]
        yield measured(copy_of_store(data, Path(folder)), uris, requests)


def measured(url: str, uris: Sequence[str], requests: Sequence[bytes]) -> Row:
    """The row of `activations` over the store at `url`."""
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(Store.open(url))) for _ in range(AT_ONCE)]
        for uri in uris:
            stores[0].add_bundle(uri, {})
        servers = [stack.enter_context(serving(url)) for _ in range(2)]
        with _asking(servers, requests) as before:
            time.sleep(BASE_SECONDS)
        with _asking(servers, requests) as during:
            wrong = _activate(stores, uris)
            seconds = _seconds_until_followed(servers, stores[0])
    old, new = (float(np.quantile(answers.seconds, 0.99)) for answers in (before, during))
    failed = before.failed + during.failed
    say(
        f"p99 before {old * 1000:.1f} ms, during {new * 1000:.1f} ms; {failed} failed; {len(during.bundles)} bundles answered"
    )
    figures = {
        "value": new / old,
        "ms": {"before": old * 1000, "during": new * 1000, "longest": max(during.seconds) * 1000},
    }
    return Row(
        what=f"p99 of answers of two servers during {ACTIVATIONS} activations, {AT_ONCE} at a time, over that before",
        value=figures
        | {"failed": failed, "not one active": wrong, "answers": dict(during.bundles), "followed_s": seconds},
        must=f"<= {MAX_SLOWDOWN}; 0 failed, one active after each, the last one served within {FOLLOW_SECONDS:.0f} s",
        holds=new <= MAX_SLOWDOWN * old and not failed and not wrong and seconds <= FOLLOW_SECONDS,
        seed=0,
        n=len(during.seconds),
    )


def _activate(stores: Sequence[Store], uris: Sequence[str]) -> int:
    """How often not exactly one bundle was active after an activation."""
    wrong = 0

    def activate(number: int) -> bool:
        store = stores[number % AT_ONCE]
        store.activate_bundle(uris[number % len(uris)])
        return [record.state for record in store.bundles()].count("active") == 1

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for start in range(0, ACTIVATIONS, AT_ONCE):
            wrong += AT_ONCE - sum(threads.map(activate, range(start, start + AT_ONCE)))
            time.sleep(PAUSE_SECONDS)
    return wrong


def _seconds_until_followed(servers: Sequence[Server], store: Store) -> float:
    """Until each server answers by the active bundle."""
    active, started = store.activation(), time.monotonic()
    assert active is not None
    while any(json.loads(server.ask(get("/readyz")))["bundle"] != active.uri for server in servers):
        time.sleep(0.05)
    return time.monotonic() - started


@contextmanager
def _asking(servers: Sequence[Server], requests: Sequence[bytes]) -> Iterator[Answers]:
    """Clients that ask the servers in the block, one request each after the other."""
    answers, stop = Answers(), threading.Event()

    def ask(client: int) -> None:
        server = servers[client % len(servers)]
        for request in cycle(requests[client::CLIENTS]):
            if stop.is_set():
                return
            started = time.perf_counter()
            try:
                bundle = json.loads(server.ask(request))["bundle"]
            except (OSError, ValueError, KeyError):
                answers.failed += 1
                continue
            answers.seconds.append(time.perf_counter() - started)
            answers.bundles[str(bundle).rpartition("/")[2]] += 1

    with ThreadPoolExecutor(CLIENTS) as threads:
        clients = [threads.submit(ask, client) for client in range(CLIENTS)]
        try:
            yield answers
        finally:
            stop.set()
        for client in clients:
            client.result()


BENCHES = {"activations": activations}
