"""Kill -9 under load, and requests made up from the OpenAPI document."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from api.app import create_app
from recsys.service import Recommender
from recsys.store import Store
from recsys.store.sessions import upgrade
from tests.api.fuzzing import fuzz
from tests.benchmarks.harness import Row, say
from tests.killing import kills
from tests.servers import postgresql
from tests.worlds import train_small

KILLS = 200
CASES = 20_000
EACH = 200
"""Valid and broken requests to a route, before the next round over all routes."""


def killed(_: Path) -> Iterator[Row]:
    """200 kills on each database."""
    with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
        yield _killed("SQLite", f"sqlite:///{folder}/store.db")
    with postgresql(Path(tempfile.mkdtemp(prefix="recsys-"))) as server:
        yield _killed("PostgreSQL", server.url)


def fuzzed(_: Path) -> Iterator[Row]:
    """20,000 requests to a service with a trained bundle."""
    with tempfile.TemporaryDirectory() as folder:
        planted = train_small(Path(folder))
        with closing(Store.open(planted.url)) as store, closing(Recommender(store)) as recommender:
            known = [*list(planted.world.successor)[:5], *store.users(limit=5)]
            app, cases, failures, statuses, rounds = create_app(recommender), 0, list[str](), set[int](), 0
            while cases < CASES:
                found = list(fuzz(app, each=EACH, known=known, start=rounds))[-1]
                cases, rounds = cases + found.cases, rounds + 1
                failures += found.failures
                statuses |= {status for _, status in found.statuses}
                say(f"{cases:,} requests, {len(failures)} failures")
    for failure in failures[:20]:
        say(failure)
    yield Row(
        what="fuzzed requests with a 5xx",
        value={"value": len(failures), "statuses": sorted(statuses)},
        must=f"0 of {CASES:,}",
        holds=not failures,
        seed=list(range(rounds)),
        n=cases,
    )


def _killed(kind: str, url: str) -> Row:
    upgrade(url)
    found = []
    for number, kill in enumerate(kills(url, times=KILLS, seed=0), start=1):
        found.append(kill)
        if number % 20 == 0:
            say(f"{kind}: {number} kills, {sum(one.acknowledged for one in found):,} writes acknowledged")
    intact = sum(not kill.lost for kill in found)
    lost = [what for kill in found for what in kill.lost]
    return Row(
        what=f"kill -9 under load with nothing acknowledged lost, {kind}",
        value={"value": intact, "acknowledged": sum(one.acknowledged for one in found), "lost": lost[:20]},
        must=f"{KILLS} of {KILLS}",
        holds=intact == KILLS,
        seed=0,
        n=KILLS,
    )


BENCHES = {"kill": killed, "fuzz": fuzzed}
