"""Questions that wait at the same time are answered together: one pass through the encoder, one hop to a thread and back.

The event loop takes requests in and sends answers out; one thread does what computes. While it works, questions gather.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence

from recsys.errors import Busy, RecsysError
from recsys.service import Answer, Question

AT_ONCE = 32
"""Questions in one pass: beyond, those who came first would wait for the others without gain."""

Waiting = tuple[Question, asyncio.Future[Answer], asyncio.AbstractEventLoop]


class Together:
    """Hands questions to `answer` (`Recommender.answer`), as many as wait. Beyond `limit` waiting ones it refuses at once."""

    def __init__(
        self, answer: Callable[[Sequence[Question]], Sequence[Answer | RecsysError]], *, limit: int = 256
    ) -> None:
        self._answer, self._limit = answer, limit
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def ask(self, question: Question) -> Answer:
        """The answer to one question.

        Raises:
            Busy: too many are waiting already.
            RecsysError: what the question itself is answered with.
        """
        if self._queue.qsize() >= self._limit:
            raise Busy(f"{self._limit} requests are waiting already: try again in a second")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._queue.put((question, future, loop))
        return await future

    def close(self) -> None:
        """Answers what waits and ends the thread; a later question begins another."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            while len(batch) < AT_ONCE and not self._queue.empty():
                if (more := self._queue.get()) is None:
                    self._queue.put(None)
                    break
                batch.append(more)
            answers = self._answered([question for question, _, _ in batch])
            for loop in {loop for _, _, loop in batch}:
                done = [(one[1], answer) for one, answer in zip(batch, answers, strict=True) if one[2] is loop]
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_settle, done)

    def _answered(self, questions: Sequence[Question]) -> Sequence[Answer | Exception]:
        try:
            return self._answer(questions)
        except Exception as error:  # noqa: BLE001  (a failure of one must not be that of all)
            if len(questions) == 1:
                return [error]
            return [answer for question in questions for answer in self._answered([question])]


def _settle(done: Sequence[tuple[asyncio.Future[Answer], Answer | Exception]]) -> None:
    for future, answer in done:
        if future.cancelled():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
