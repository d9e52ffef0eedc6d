"""Copies of known items under new ids, put through one replica and ranked by the other."""

import math
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from recsys.errors import NotFound
from recsys.service import Options, Recommender
from recsys.store import Store
from recsys.store.records import ItemDraft
from tests.benchmarks.foundation_runs import imported
from tests.benchmarks.harness import Row
from tests.benchmarks.strength_world import SET, trained

COPIES, USERS, SHOWN = 100, 200, 1000
WITHIN = 1.0
"""Seconds after which the other replica has answered with what was put."""


def cold(data: Path) -> Iterator[Row]:
    """For users whose list has the original, how far below it stands its copy, in the fused list of the other replica.

    A copy that is not in the list counts as standing just behind its end.
    """
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(imported(data, SET).removeprefix("sqlite:///"), f"{folder}/recsys.db")
        stores = [Store.open(f"sqlite:///{folder}/recsys.db") for _ in range(2)]
        stores[0].add_bundle(trained(data), {})
        stores[0].activate_bundle(trained(data))
        one, other = (Recommender(store) for store in stores)
        for replica in (one, other):
            replica.warm_up()
        below, ranks, seconds = _below(one, other, stores[0])
        for replica, store in zip((one, other), stores, strict=True):
            replica.close()
            store.close()
    yield Row(
        what=f"seconds until the other replica answers with {COPIES} items put",
        value=seconds,
        must=f"<= {WITHIN}",
        holds=seconds <= WITHIN,
        seed=0,
        n=COPIES,
    )
    for depth in (10, 100, SHOWN):
        some = below[ranks <= depth]
        median = float(np.median(some))
        yield Row(
            what=f"ranks that copies of items among the first {depth} stand below them, median, on the other replica",
            value={"value": median, "p90": float(np.quantile(some, 0.9)), "missing": float((some > SHOWN).mean())},
            must="<= 10",
            holds=median <= 10,
            seed=0,
            n=len(some),
        )


def _below(one: Recommender, other: Recommender, store: Store) -> tuple[np.ndarray, np.ndarray, float]:
    """(how far below the original the copy stands, the original's rank) for each user and original in the user's list, and the
    seconds until the other replica had the copies."""
    generator = np.random.default_rng(0)
    items = [item for page in store.items() for item in page]
    chosen = [items[i] for i in generator.choice(len(items), COPIES, replace=False)]
    users = generator.permutation(store.users(limit=10_000))[:USERS].tolist()
    other.recommend(user_id=users[0])
    one.put_items(
        [
            ItemDraft(item_id=f"copy-{item.item_id}", domain=item.domain, title=item.title, attributes=item.attributes)
            for item in chosen
        ]
    )
    seconds = _until_known(other, f"copy-{chosen[-1].item_id}")
    below, ranks = [], []
    for user in users:
        answer = other.recommend(user_id=user, options=Options(k=SHOWN, encoder="blend"))
        rank = {item.item_id: place for place, item in enumerate(answer.items, start=1)}
        for item in chosen:
            if item.item_id in rank:
                ranks.append(rank[item.item_id])
                below.append(rank.get(f"copy-{item.item_id}", 2 * SHOWN + 1) - ranks[-1])
    return np.array(below), np.array(ranks), seconds


def _until_known(replica: Recommender, item_id: str) -> float:
    """Seconds until the replica has answered a question about the item, by its text, too."""
    started = time.monotonic()
    while time.monotonic() < started + 60:
        with suppress(NotFound):
            if not any(warning.what == "texts" for warning in replica.similar(item_id).degraded):
                return time.monotonic() - started
        time.sleep(0.01)
    return math.inf


BENCHES = {"cold": cold}
