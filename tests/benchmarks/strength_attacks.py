"""Users who are forgotten under load, clients that stall, and bodies that are built to be slow."""

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2

from recsys.store import Store
from recsys.store.records import EventDraft, ItemDraft
from recsys.store.sessions import upgrade
from tests.api.test_large_bodies import ATTEMPTS, MAX_CPU, MAX_WAIT, SLOW, cost
from tests.api.test_server import HALF_BODY, HEADER, STALLED, connected, ended
from tests.benchmarks.harness import Row, at_most, say
from tests.servers import Service, recsys_serve
from tests.store.test_forgetting import traces

FORGOTTEN = [f"user-{number * 7919 % 100_003:06}-end" for number in range(1000)]
STAYING = [f"stays-{number}" for number in range(500)]
ITEMS = [f"i{number}" for number in range(100)]
FORGETTING, CLIENTS = 2, 4
CLEANING_SECONDS = 90
"""Until when the server has taken copies of deleted rows out of the free parts of its file, in the background."""
ROUNDS = 100


def forgotten(_data: Path) -> Iterator[Row]:
    """Users who are each asked about and then forgotten at once, while others ask and write: who is still in a table or file."""
    with _service() as (service, url), ThreadPoolExecutor(FORGETTING + CLIENTS) as threads:
        with closing(Store.open(url)) as store:
            _fill(store)
        done = threading.Event()
        load = [threads.submit(_ask_and_write, service, STAYING[client::CLIENTS], done) for client in range(CLIENTS)]
        forgetting = [threads.submit(_forget, service, FORGOTTEN[part::FORGETTING]) for part in range(FORGETTING)]
        statuses = sum((future.result() for future in forgetting), Counter[int]())
        done.set()
        of_others = sum((future.result() for future in load), Counter[int]())
        until = time.monotonic() + CLEANING_SECONDS
        while (traced := traces(url, FORGOTTEN)) and time.monotonic() < until:
            time.sleep(2)
        left = sorted({user_id for user_ids in traced.values() for user_id in user_ids})
    yield at_most(
        f"users with a trace after {len(FORGOTTEN):,} were forgotten under load",
        len(left),
        0,
        seed=0,
        n=len(FORGOTTEN),
        places=sorted(traced),
        statuses=dict(statuses),
        statuses_of_others=dict(of_others),
    )


def stalled(_data: Path) -> Iterator[Row]:
    """Requests of others while clients stall in the header, and as many in the body."""
    with _service() as (service, _):
        waiting = [connected(service, data) for data in (HEADER[:1], HALF_BODY) for _ in range(STALLED)]
        seconds, statuses = list[float](), Counter[int]()
        with _client(service) as client:
            for number in range(ROUNDS):
                for method, path, body in (
                    ("GET", "/healthz", None),
                    ("PUT", f"/v1/items/{number}", {"title": "a film"}),
                    ("POST", "/v1/recommendations", {"history": [str(number)]}),
                ):
                    started = time.perf_counter()
                    statuses[client.request(method, path, json=body).status_code] += 1
                    seconds.append(time.perf_counter() - started)
        cut_off = sum(map(ended, waiting))
        for connection in waiting:
            connection.close()
    share = statuses[200] / statuses.total()
    yield Row(
        what=f"share of requests answered 200 beside {STALLED} + {STALLED} stalled connections",
        value={"value": share, "statuses": dict(statuses), "longest": max(seconds), "cut off meanwhile": cut_off},
        must="1.0",
        holds=share == 1.0,
        seed=0,
        n=statuses.total(),
    )


def bodies(_data: Path) -> Iterator[Row]:
    """Bodies of 5 MB: what the dearest costs, and how long `/healthz` waits meanwhile; of each body the best of some attempts."""
    costs = dict[str, tuple[float, float]]()
    with _service() as (service, _):
        for name, (path, body) in SLOW.items():
            attempts = [cost(service, path, body) for _ in range(ATTEMPTS)]
            costs[name] = min(cpu for cpu, _ in attempts), min(wait for _, wait in attempts)
            say(f"{name}: {costs[name][0]:.2f} s of CPU, longest wait {costs[name][1]:.3f} s")
    for number, (what, bound) in enumerate(
        (("CPU seconds of a body of 5 MB", MAX_CPU), ("longest wait of /healthz", MAX_WAIT))
    ):
        worst = max(costs, key=lambda name: costs[name][number])
        yield at_most(what, costs[worst][number], bound, seed=0, n=len(costs), body=worst)


@contextmanager
def _service() -> Iterator[tuple[Service, str]]:
    """The service over an empty store, and the URL of the store."""
    with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
        url = f"sqlite:///{folder}/store.db"
        upgrade(url)
        with recsys_serve(url) as service:
            yield service, url


def _client(service: Service) -> httpx2.Client:
    return httpx2.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=60)


def _fill(store: Store) -> None:
    store.put_items([ItemDraft(item_id=item_id) for item_id in ITEMS])
    for item_id in ITEMS[:5]:
        store.add_events([EventDraft(user_id=user_id, item_id=item_id) for user_id in [*FORGOTTEN, *STAYING]])


def _forget(service: Service, user_ids: Sequence[str]) -> Counter[int]:
    """Statuses of the deletions; the impression of each user's last answer is on its way to the store at that time."""
    statuses = Counter[int]()
    with _client(service) as client:
        for user_id in user_ids:
            client.get(f"/v1/users/{user_id}/recommendations").raise_for_status()
            statuses[client.delete(f"/v1/users/{user_id}").status_code] += 1
    return statuses


def _ask_and_write(service: Service, user_ids: Sequence[str], done: threading.Event) -> Counter[int]:
    """Statuses of questions and events of users who stay, in turn until the others are forgotten."""
    statuses = Counter[int]()
    with _client(service) as client:
        while not done.is_set():
            for user_id in user_ids:
                event = {"user_id": user_id, "item_id": ITEMS[statuses.total() % len(ITEMS)]}
                statuses[client.get(f"/v1/users/{user_id}/recommendations").status_code] += 1
                statuses[client.post("/v1/events", json=event).status_code] += 1
                if done.is_set():
                    break
    return statuses


BENCHES = {"forgotten": forgotten, "stalled": stalled, "bodies": bodies}
