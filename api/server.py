"""The HTTP server: uvicorn, with limits to how long a client may take, and an end that never waits for one.

uvicorn has no limit for a request that arrives slowly (its keep-alive limit ends at the first byte), and answers malformed
requests in plain text.
"""

import asyncio
import math
import os
import sys
import threading
import uuid
from collections.abc import Callable
from types import FrameType

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.middleware import SECURITY
from api.problems import problem

HEADER_SECONDS = 10.0
"""From the connection, or from the first byte of a later request, to the end of the header."""
PIECE_SECONDS = 30.0
"""Between two pieces of a body, and between two times that a client reads of a long answer."""
MIN_RATE = 1000
"""Bytes a second that a body must have come at, after the first `PIECE_SECONDS`."""
KEEP_ALIVE_SECONDS = 5
UPLOAD_SECONDS = 4.0
"""For bodies that are still arriving when the server stops."""
FINISH_SECONDS = 7
"""For requests that are at work when the server stops."""
EXIT_SECONDS = 9.0
"""From the signal to the end of the process, whatever still runs."""
LINGER_SECONDS = 5.0
"""For a client to take the last answer of a connection."""

MALFORMED = {
    431: "the header of the request is too long: send less than 64 KiB",
    501: "send the body with Content-Length or with Transfer-Encoding: chunked, which must stand alone",
}


class Server(uvicorn.Server):
    """uvicorn's server. `give_up` is called where it has not ended `EXIT_SECONDS` after a signal; it should end the process."""

    def __init__(self, config: uvicorn.Config, *, give_up: Callable[[], None]) -> None:
        super().__init__(config)
        self.give_up = give_up

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            watchdog = threading.Timer(EXIT_SECONDS, self.give_up)
            watchdog.daemon = True
            watchdog.start()
        super().handle_exit(sig, frame)


def make_server(app: ASGIApp, *, give_up: Callable[[], None] = lambda: os._exit(0)) -> Server:
    """A server of `app`: run it on a socket."""
    config = uvicorn.Config(
        app,
        http=TimedProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=FINISH_SECONDS,
    )
    return Server(config, give_up=give_up)


class TimedProtocol(H11Protocol):
    """One connection. A client that is too slow is answered with 408, where it is not already being answered, and cut off."""

    _timer: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None
    _body_since: float | None = None
    _body_size = 0
    _last_call = math.inf

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._expire_in(HEADER_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            data = data.lstrip(b"\r\n")  # some clients send an empty line too many (RFC 9112, 2.2)
            if not data:  # which to h11 would be the end of the connection
                return
        super().data_received(data)
        self._watch(len(data))

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:  # of the next request, which came with the last one
            self._watch(0)

    def shutdown(self) -> None:
        super().shutdown()
        self._last_call = self.loop.time() + UPLOAD_SECONDS
        if self.conn.their_state is h11.SEND_BODY:
            self._watch(0)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reading(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def send_400_response(self, msg: str) -> None:
        """Called where h11 cannot read the request; its error is being handled."""
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        self._refuse(status, MALFORMED.get(status, f"this is no valid HTTP request: {error or msg}"))

    def _watch(self, size: int) -> None:
        """Sets the time limit of what the client is sending, after `size` bytes more of it."""
        state, now = self.conn.their_state, self.loop.time()
        if self.transport.is_closing() or state not in (h11.IDLE, h11.SEND_BODY):
            self._cancel()
        elif state is h11.IDLE:
            if self._timer is None or self._body_since is not None:
                self._cancel()
                self._expire_in(HEADER_SECONDS)
        else:
            if self._body_since is None:
                self._body_since, self._body_size = now, 0
            self._body_size += size
            at_rate = self._body_since + PIECE_SECONDS + self._body_size / MIN_RATE
            self._expire_in(min(now + PIECE_SECONDS, at_rate, self._last_call) - now)

    def _expire_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._expire)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._body_since = None

    def _expire(self) -> None:
        if self.loop.time() >= self._last_call:
            self._refuse(503, "the server is stopping: send the request again")
        elif self._body_since is not None:
            self._refuse(
                408, f"the body comes too slowly: send {MIN_RATE} bytes a second, and pause for less than 30 s"
            )
        elif self.conn.trailing_data[0]:
            self._refuse(408, f"the header did not end in {HEADER_SECONDS:.0f} s: send it at once")
        else:
            self.transport.close()

    def _refuse(self, status: int, detail: str) -> None:
        """Sends a problem, where no answer has begun, and closes the connection."""
        self._cancel()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._send_problem(status, detail)
        if self.cycle is not None:
            self.cycle.disconnected = True  # else a request whose body never ends would wait for it
            self.cycle.message_event.set()
        self.transport.close()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _send_problem(self, status: int, detail: str) -> None:
        headers = {**SECURITY, "Cache-Control": "no-store", "Connection": "close"}
        response = problem(uuid.uuid4().hex, status, detail, headers=headers)
        events = (
            h11.Response(status_code=status, headers=[*self.server_state.default_headers, *response.raw_headers]),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        )
        for event in events:
            self.transport.write(self.conn.send(event))

    def _expect_reading(self, before: int) -> None:
        """Cuts off a client that has read nothing of the answer in `PIECE_SECONDS`, from `before` bytes to send on."""

        def check() -> None:
            size = self.transport.get_write_buffer_size()
            if size < before:
                self._expect_reading(size)
            else:
                self.transport.abort()

        self._writing = self.loop.call_later(PIECE_SECONDS, check)
