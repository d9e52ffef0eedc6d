"""Questions that wait together are answered together, and none pays for another."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.micro_batching import MAX_BATCH, MicroBatcher
from recsys.errors import Busy, InvalidRequest, RecsysError
from recsys.service import Answer, Options, Question
from tests.api.fake import FakeRecommender, client_over


class Slow:
    """Answers with the question's history as the encoder; the first call waits until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.sizes: list[int] = []

    def __call__(self, questions: Sequence[Question]) -> list[Answer | RecsysError]:
        self.sizes.append(len(questions))
        self.go.wait(10)
        if any(question.history == ["bug"] for question in questions):
            raise ZeroDivisionError
        return [self._answer_one(question) for question in questions]

    def _answer_one(self, question: Question) -> Answer | RecsysError:
        if question.options.k == 0:
            return InvalidRequest("k=0")
        return Answer(request_id="", bundle=None, encoder=str(question.history), items=(), degraded=())


def ask_all(batcher: MicroBatcher, slow: Slow, questions: Sequence[Question]) -> list[Answer | BaseException]:
    """The answers to questions of which all but the first come in while that one is being answered."""

    async def run() -> list[Answer | BaseException]:
        tasks = [asyncio.create_task(batcher.ask(questions[0]))]
        while not slow.sizes:
            await asyncio.sleep(0.001)
        tasks += [asyncio.create_task(batcher.ask(question)) for question in questions[1:]]
        await asyncio.sleep(0.01)
        slow.go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = asyncio.run(run())
    batcher.close()
    return answers


def test_what_waits_is_answered_in_one_go_each_with_its_own() -> None:
    count = 2 * MAX_BATCH + 2
    slow = Slow()
    answers = ask_all(MicroBatcher(slow), slow, [Question(history=[str(number)]) for number in range(count)])
    assert slow.sizes == [1, MAX_BATCH, MAX_BATCH, 1]
    assert [answer.encoder for answer in answers if isinstance(answer, Answer)] == [str([str(n)]) for n in range(count)]


def test_one_s_failure_is_not_the_others() -> None:
    slow = Slow()
    questions = [Question(history=[name]) for name in ("a", "b", "bug", "c")]
    bad = Question(history=["d"], options=Options(k=0))
    answers = ask_all(MicroBatcher(slow), slow, [*questions, bad])
    kinds = [type(answer) for answer in answers]
    assert kinds == [Answer, Answer, ZeroDivisionError, Answer, InvalidRequest]


def test_too_many_are_refused_at_once_and_later_ones_are_welcome() -> None:
    slow = Slow()
    batcher = MicroBatcher(slow, limit=3)
    answers = ask_all(batcher, slow, [Question(history=[str(number)]) for number in range(6)])
    assert [type(answer) for answer in answers] == [Answer] * 4 + [Busy] * 2
    assert isinstance(ask_all(batcher, slow, [Question(history=["later"])])[0], Answer)


def test_a_busy_service_says_when_to_come_back() -> None:
    recommender = FakeRecommender()
    recommender.fails = Busy("256 requests are waiting already: try again in a second")
    response = client_over(recommender).get("/v1/users/u/recommendations")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
    assert client_over(recommender).get("/healthz").status_code == 200


def test_who_went_away_takes_nothing_along() -> None:
    slow = Slow()
    batcher = MicroBatcher(slow)

    async def run() -> Answer:
        gone = asyncio.create_task(batcher.ask(Question(history=["gone"])))
        while not slow.sizes:
            await asyncio.sleep(0.001)
        gone.cancel()
        stays = asyncio.create_task(batcher.ask(Question(history=["stays"])))
        await asyncio.sleep(0.01)
        slow.go.set()
        return await stays

    assert asyncio.run(run()).encoder == "['stays']"
    batcher.close()


def test_the_thread_ends_with_the_app() -> None:
    before = threading.active_count()
    with TestClient(create_app(FakeRecommender())) as client:
        assert client.get("/v1/users/u/recommendations").status_code == 200
        assert "answers" in {thread.name for thread in threading.enumerate()}
    assert threading.active_count() <= before


@pytest.mark.parametrize("times", [1, 3])
def test_closing_again_is_no_harm(times: int) -> None:
    slow, before = Slow(), set(threading.enumerate())
    slow.go.set()
    batcher = MicroBatcher(slow)
    asyncio.run(batcher.ask(Question(history=["a"])))
    (thread,) = set(threading.enumerate()) - before
    for _ in range(times):
        batcher.close()
    assert not thread.is_alive()
