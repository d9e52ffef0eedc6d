"""Requests a second of one worker over 100,000 items, against a stored response of the same bytes sent by the same app.

Both sides take turns, a round each, with the same client; the ratio is that of the medians of the rounds. So a machine that
others use too slows both alike.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tests.benchmarks.harness import Row, at_least
from tests.benchmarks.strength_client import Round, Server, get, send, serving
from tests.benchmarks.strength_world import bodies, copies, user_id, world

ITEMS, USERS = 100_000, 100_000
ASKED = 1000
"""Users that requests speak of, and fresh histories."""

ROUNDS, REQUESTS, BASE_REQUESTS = 9, 1000, 2000


def requests_a_second(data: Path) -> Iterator[Row]:
    """Three kinds of question, each against the stored response."""
    made = world(data, items=ITEMS, users=USERS)
    fresh = bodies(data, count=ASKED, length=50, copies=copies(data, ITEMS))
    with serving(made.url) as server:
        for what, bound, requests in (
            ("sasrec, user vector current", 0.35, _stored_users("sasrec")),
            ("sasrec, a fresh history of 50", 0.12, [_fresh(body) for body in fresh]),
            ("blend, stored users", 0.08, _stored_users("blend")),
        ):
            yield _compared(server, what, bound, requests)


def _stored_users(encoder: str) -> list[bytes]:
    return [get(f"/v1/users/{user_id(user)}/recommendations?encoder={encoder}") for user in range(ASKED)]


def _fresh(body: dict[str, object]) -> bytes:
    return send("POST", "/v1/recommendations", body | {"encoder": "sasrec"})


def _compared(server: Server, what: str, bound: float, requests: Sequence[bytes]) -> Row:
    server.ask(send("PUT", "/stored/answer", server.ask(requests[0])))
    stored = [get("/stored/answer")] * BASE_REQUESTS
    for warm in (requests, stored):
        server.drive(warm)
    base, own = list[Round](), list[Round]()
    for _ in range(ROUNDS):
        base.append(server.drive(stored))
        own.append(server.drive(requests[:REQUESTS]))
    rate, stored_rate = (float(np.median([one.rate for one in rounds])) for rounds in (own, base))
    seconds = np.concatenate([one.seconds for one in own])
    p50, p95, p99 = (round(float(value) * 1000, 2) for value in np.quantile(seconds, [0.5, 0.95, 0.99]))
    busy = [
        sum(one.server_seconds for one in rounds) / sum(len(one.seconds) for one in rounds) for rounds in (base, own)
    ]
    return at_least(
        f"requests/s over a stored response's: {what}",
        rate / stored_rate,
        bound,
        seed=0,
        n=len(seconds),
        requests_a_second=round(rate),
        stored_a_second=round(stored_rate),
        ms={"p50": p50, "p95": p95, "p99": p99},
        processor_ratio=busy[0] / busy[1],
    )


BENCHES = {"serving": requests_a_second}
