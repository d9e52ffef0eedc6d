"""The main job: how good the default model is, what its sequence models add, and how fast the whole way is.

    make bench NAME=foundation DATA=FOLDER [ROW=quality] [BASE=COMMIT]

Leave-one-out by position, full ranking without seen items, NDCG@10, seeds 0 to 2. The simple sources are fitted once for
all seeds; sequence models and fusions once for each. `ROW=house` checks the style of the code, and with BASE that lists, figures
and speed are those of an earlier commit.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient
from httpx2 import Response

from api.app import create_app
from recsys.metrics.ranking import bootstrap
from recsys.service import Recommender
from recsys.settings import Settings
from recsys.store import Store
from tests.benchmarks import foundation_house_lists, foundation_house_speed, foundation_house_static
from tests.benchmarks.foundation_runs import blend, fixed
from tests.benchmarks.harness import ROOT, Row, at_least, in_two_workers, main
from tests.worlds import train_small

MUST = {"movielens_100k": 0.122, "amazon_industrial": 0.090, "amazon_games": 0.082}
SEEDS = (0, 1, 2)
DRAWS = 2000


def quality(data: Path) -> Iterator[Row]:
    """`blend` on three sets, and what it has over the same fusion of the simple sources alone."""
    list(in_two_workers(fixed, [(data, name) for name in reversed(MUST)]))
    jobs = [(data, name, seed) for name in reversed(MUST) for seed in SEEDS]
    runs = {job[1:]: users for job, users in zip(jobs, in_two_workers(blend, jobs), strict=True)}
    gains = []
    for name, bound in MUST.items():
        users_by_seed = [runs[name, seed] for seed in SEEDS]
        means = np.mean([users["blend"] for users in users_by_seed], axis=0)
        figure = bootstrap(means)
        by_seed = [float(users["blend"].mean()) for users in users_by_seed]
        yield at_least(
            f"blend NDCG@10 {name}",
            figure.mean,
            bound,
            seed=SEEDS,
            n=len(means),
            low=figure.low,
            high=figure.high,
            by_seed=by_seed,
        )
        gains.append(np.mean([users["blend"] - users["simple-blend"] for users in users_by_seed], axis=0))
        gain = bootstrap(gains[-1])
        yield Row(
            what=f"blend minus simple-blend {name}",
            value={"value": gain.mean, "low": gain.low, "high": gain.high},
            must="printed",
            holds=True,
            seed=SEEDS,
            n=len(means),
        )
        for part in sorted(set(users_by_seed[0]) - {"blend"}):
            others = [float(users[part].mean()) for users in users_by_seed]
            yield Row(
                what=f"{part} NDCG@10 {name}",
                value=np.mean(others),
                must="printed",
                holds=True,
                seed=SEEDS,
                n=len(means),
            )
    low, mean, high = _macro(gains)
    yield Row(
        what="blend minus simple-blend, macro mean",
        value={"value": mean, "low": low, "high": high},
        must="low > 0",
        holds=low > 0,
        seed=SEEDS,
        n=sum(map(len, gains)),
    )


def sasrec(data: Path) -> Iterator[Row]:
    """`sasrec` alone on MovieLens; that of RecTools, tuned as well, is a row of the peers."""
    name = "movielens_100k"
    fixed(data, name)
    runs = list(in_two_workers(blend, [(data, name, seed) for seed in SEEDS]))
    users = np.mean([run["sasrec"] for run in runs], axis=0)
    figure = bootstrap(users)
    yield at_least(
        f"sasrec NDCG@10 {name}", figure.mean, 0.098, seed=SEEDS, n=len(users), low=figure.low, high=figure.high
    )


def quickstart(_: Path) -> Iterator[Row]:
    """The whole way after setup, on an otherwise idle machine."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"RECSYS_DATA": str((ROOT / Settings().data).resolve())}
        started = time.monotonic()
        command = [str(Path(sys.executable).with_name("recsys")), "quickstart", "--no-serve"]
        done = subprocess.run(command, cwd=folder, env=environment, check=False, stdout=sys.stderr)
        seconds = time.monotonic() - started
    holds = done.returncode == 0 and seconds <= 300
    yield Row(what="recsys quickstart --no-serve, seconds", value=seconds, must="<= 300", holds=holds, seed=0, n=1)


def tests(_: Path) -> Iterator[Row]:
    """`make test`."""
    started = time.monotonic()
    done = subprocess.run(["make", "test"], cwd=ROOT, check=False, stdout=sys.stderr)
    seconds = time.monotonic() - started
    holds = done.returncode == 0 and seconds <= 720
    yield Row(what="make test, seconds", value=seconds, must="<= 720", holds=holds, seed=0, n=1)


def next_request(_: Path) -> Iterator[Row]:
    """Item PUT, event POST and item DELETE, each looked for in the ten best of the very next request.

    The new item has the text of the one that follows the history: so it has to be among the ten best, not only in the list.
    """
    tries, counts = 50, {"put": 0, "event": 0, "delete": 0}
    with tempfile.TemporaryDirectory() as folder:
        planted = train_small(Path(folder))
        store = Store.open(planted.url)
        recommender = Recommender(store)
        client = TestClient(create_app(recommender))
        items = list(planted.world.successor)
        for number in range(tries):
            start = items[number % len(items)]
            after_it = planted.world.successor[start]
            twin = client.get(f"/v1/items/{after_it}").json()
            client.put(f"/v1/items/n{number}", json={"title": twin["title"], "attributes": twin["attributes"]})
            query = {"history": [start], "k": 10}
            counts["put"] += f"n{number}" in _ids(client.post("/v1/recommendations", json=query))
            client.delete(f"/v1/items/n{number}")
            counts["delete"] += f"n{number}" not in _ids(client.post("/v1/recommendations", json=query))
            path = f"/v1/users/u{number}/recommendations"
            before = _ids(client.get(path))
            client.post("/v1/events", json={"user_id": f"u{number}", "item_id": start})
            after = _ids(client.get(path))
            counts["event"] += after != before and after_it in after and start not in after
        recommender.close()
        store.close()
    holds = set(counts.values()) == {tries}
    yield Row(
        what="PUT, POST, DELETE count on the next request", value=counts, must="all", holds=holds, seed=0, n=tries
    )


def _ids(response: Response) -> list[str]:
    """The items of an answer, best first."""
    assert response.status_code == 200, response.text
    return [item["item_id"] for item in response.json()["items"]]


def _macro(gains: list[np.ndarray]) -> tuple[float, float, float]:
    """(low, mean, high) of the mean over sets, users drawn anew within each set."""
    generator = np.random.default_rng(0)
    macro_means = np.zeros(DRAWS)
    for gain in gains:
        values, counts = np.unique(gain, return_counts=True)
        draws = generator.multinomial(len(gain), counts / len(gain), size=DRAWS)
        macro_means += draws @ values / len(gain) / len(gains)
    low, high = np.quantile(macro_means, [0.025, 0.975])
    return float(low), float(np.mean([gain.mean() for gain in gains])), float(high)


BENCHES = {
    "quickstart": quickstart,
    "quality": quality,
    "sasrec": sasrec,
    "next-request": next_request,
    "tests": tests,
    **foundation_house_speed.BENCHES,
    **foundation_house_static.BENCHES,
}
COMPARISONS = foundation_house_lists.COMPARISONS | foundation_house_speed.COMPARISONS

if __name__ == "__main__":
    sys.exit(main(BENCHES, comparisons=COMPARISONS))
