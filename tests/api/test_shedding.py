"""More than can be answered is refused at once; health stays green, and afterwards all is as before."""

import asyncio
import time
from collections.abc import Sequence

import httpx2
import pytest

from api.app import create_app
from recsys.errors import RecsysError
from recsys.service import Answer, Question
from recsys.store.records import Event, EventDraft
from tests.api.fake import FakeRecommender

LIMIT = 20
EACH = 0.02
AT_ONCE = 1.0
"""Seconds. All questions of the storm one after the other would take four times as long."""


class Slow(FakeRecommender):
    """Takes `EACH` seconds for a batch of questions and for a write."""

    def answer(self, questions: Sequence[Question]) -> list[Answer | RecsysError]:
        time.sleep(EACH)
        return super().answer(questions)

    def add_events(self, drafts: Sequence[EventDraft]) -> list[Event]:
        time.sleep(EACH)
        return super().add_events(drafts)


async def timed(client: httpx2.AsyncClient, kind: str) -> tuple[httpx2.Response, float]:
    begin = time.perf_counter()
    match kind:
        case "health":
            response = await client.get("/healthz")
        case "write":
            response = await client.post("/v1/events", json={"user_id": "u", "item_id": "50"})
        case _:
            response = await client.post("/v1/recommendations", json={"history": ["50"]})
    return response, time.perf_counter() - begin


@pytest.mark.parametrize("kind", ["ask", "write"])
def test_a_storm_is_shed_at_once_and_leaves_nothing_behind(kind: str) -> None:
    app = create_app(Slow(), max_at_work=LIMIT)

    async def run() -> None:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            before = min([(await timed(client, kind))[1] for _ in range(3)])
            storm = asyncio.gather(*(timed(client, kind) for _ in range(10 * LIMIT)))
            await asyncio.sleep(EACH / 2)
            health, waited = await timed(client, "health")
            assert (health.status_code, health.json()) == (200, {"status": "ok"})
            answers = await storm
            shed = [(response, seconds) for response, seconds in answers if response.status_code == 503]
            assert len(answers) - len(shed) >= LIMIT
            assert len(shed) >= 5 * LIMIT
            assert {response.headers["Retry-After"] for response, _ in shed} == {"2"}
            assert {response.json()["detail"] for response, _ in shed} == {
                f"{LIMIT} requests are at work already: try again in 2 seconds"
            }
            after = min([(await timed(client, kind))[1] for _ in range(3)])
            assert after < 2 * before
            assert max(waited, *(seconds for _, seconds in shed)) < AT_ONCE

    asyncio.run(run())
    app.state.batcher.close()


def test_who_fails_or_goes_away_leaves_the_place_free() -> None:
    recommender = FakeRecommender()
    app = create_app(recommender, max_at_work=1)

    async def run() -> None:
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            recommender.fails = ZeroDivisionError()
            assert (await timed(client, "ask"))[0].status_code == 500
            recommender.fails = None
            gone = asyncio.create_task(timed(client, "ask"))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            assert (await timed(client, "ask"))[0].status_code == 200

    asyncio.run(run())
    app.state.batcher.close()
