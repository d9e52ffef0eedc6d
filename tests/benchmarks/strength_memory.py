"""Resident memory of the service: after its start, and after many users were answered once each."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.benchmarks.harness import Row
from tests.benchmarks.strength_client import get, serving
from tests.benchmarks.strength_world import user_id, world

ITEMS, USERS, REQUESTS = 50_000, 100_000, 100_000
LIMIT = 1e9
WARM = 10
"""Requests before the first look: what is loaded when it is first needed belongs to the start."""


def memory(data: Path) -> Iterator[Row]:
    """Users of the store in random order, each asked for by the default blend."""
    users = np.random.default_rng(0).permutation(USERS)[:REQUESTS].tolist()
    requests = [get(f"/v1/users/{user_id(user)}/recommendations") for user in users]
    with serving(world(data, items=ITEMS, users=USERS).url) as server:
        server.drive(requests[-WARM:])
        start = server.resident()
        server.drive(requests)
        end = server.resident()
    yield Row(
        what=f"bytes of the service with {ITEMS:,} items and {USERS:,} users, after start and {REQUESTS:,} requests",
        value={"start": start, "end": end},
        must=f"< {LIMIT:.0e}",
        holds=max(start, end) < LIMIT,
        seed=0,
        n=REQUESTS,
    )
    yield Row(
        what=f"growth of these bytes over {REQUESTS:,} requests",
        value=end / start - 1,
        must="< 0.02",
        holds=end / start - 1 < 0.02,
        seed=0,
        n=REQUESTS,
    )


BENCHES = {"memory": memory}
