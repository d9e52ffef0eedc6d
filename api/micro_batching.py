"""Dynamic batching: questions that wait at the same time share one pass through the encoder and one hop to a thread and back.

The event loop takes requests in and sends answers out; one thread computes. While it works, questions gather.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence

from recsys.errors import Busy, RecsysError
from recsys.service import Answer, Question

MAX_BATCH = 32
"""Questions in one pass. In a larger one the first questions would wait for the last without gain."""

Waiting = tuple[Question, asyncio.Future[Answer], asyncio.AbstractEventLoop]


class MicroBatcher:
    """Hands all waiting questions to `answer` (`Recommender.answer`). While `limit` questions wait, it refuses more at once.

    The thread is woken when it sleeps, not for each question: waking one costs more than many a question.
    """

    def __init__(
        self, answer: Callable[[Sequence[Question]], Sequence[Answer | RecsysError]], *, limit: int = 256
    ) -> None:
        self._answer, self._limit = answer, limit
        self._waiting = deque[Waiting]()
        self._changed = threading.Condition()
        self._idle = self._closing = False
        self._thread: threading.Thread | None = None

    async def ask(self, question: Question) -> Answer:
        """The answer to one question.

        Raises:
            Busy: too many are waiting already.
            RecsysError: the answer to this question is an error.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        with self._changed:
            if len(self._waiting) >= self._limit:
                raise Busy(f"{self._limit} requests are waiting already: try again in a second")
            self._waiting.append((question, future, loop))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
                self._thread.start()
            elif self._idle:
                self._idle = False
                self._changed.notify()
        return await future

    def close(self) -> None:
        """Answers the waiting questions and ends the thread; a later question starts another."""
        if (thread := self._thread) is not None:
            with self._changed:
                self._closing = True
                self._changed.notify()
            thread.join()
            self._thread, self._closing = None, False

    def _run(self) -> None:
        while batch := self._next():
            answers = self._answer_all([question for question, _, _ in batch])
            for loop in {loop for _, _, loop in batch}:
                done = [(future, answer) for (_, future, of), answer in zip(batch, answers, strict=True) if of is loop]
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_settle, done)

    def _next(self) -> list[Waiting]:
        """The waiting questions, up to `MAX_BATCH`. Sleeps while there are none; returns none only after `close`."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._idle = True
                self._changed.wait()
            self._idle = False
            return [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]

    def _answer_all(self, questions: Sequence[Question]) -> Sequence[Answer | Exception]:
        try:
            return self._answer(questions)
        except Exception as error:  # noqa: BLE001  (a failure of one must not be that of all)
            if len(questions) == 1:
                return [error]
            return [answer for question in questions for answer in self._answer_all([question])]


def _settle(done: Sequence[tuple[asyncio.Future[Answer], Answer | Exception]]) -> None:
    for future, answer in done:
        if future.cancelled():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
