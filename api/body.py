"""ASGI middleware that receives the bodies of requests."""

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem

TWO_LENGTHS = "the request has both Content-Length and Transfer-Encoding: send one of them"


class BodyMiddleware:
    """Receives the whole body, of at most `limit` bytes, before anything works on the request: who sends slowly holds up nobody.

    A longer body is discarded chunk by chunk, never collected. FastAPI's own `max_body_size` would do, but answers in plain text.
    """

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self.app = app
        self.limit = limit
        self.detail = f"the body is longer than {limit:,} bytes: send less at a time"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if (
            "content-length" in headers and "transfer-encoding" in headers
        ):  # two servers could see different ends of the body
            close = {"Connection": "close"}
            await problem(scope["state"]["request_id"], 400, TWO_LENGTHS, headers=close)(scope, receive, send)
            return
        try:
            body = await self._collect(headers, receive)
        except ClientDisconnect:
            return
        if body is None:
            await problem(scope["state"]["request_id"], 413, self.detail)(scope, receive, send)
            return
        await self.app(scope, _with_body(body, receive), send)

    async def _collect(self, headers: Headers, receive: Receive) -> bytes | None:
        """The body; None where it is too long, then most of it has been received too.

        Raises:
            ClientDisconnect: the client went away before the end.
        """
        if self._content_length(headers) > self.limit:
            await self._discard(receive)
            return None
        chunks, received, more = list[bytes](), 0, True
        while more:
            chunk, more = await _next_chunk(receive)
            chunks.append(chunk)
            received += len(chunk)
            if received > self.limit:
                if more:
                    await self._discard(receive)
                return None
        return b"".join(chunks)

    def _content_length(self, headers: Headers) -> int:
        length = headers.get("content-length", "0")
        return int(length) if length.isdecimal() else 0

    async def _discard(self, receive: Receive) -> None:
        """Reads on for a while: most clients see an answer only after they have sent everything."""
        left, more = 20 * self.limit, True
        while more and left > 0:
            chunk, more = await _next_chunk(receive)
            left -= len(chunk)


async def _next_chunk(receive: Receive) -> tuple[bytes, bool]:
    """The next chunk of the body, and whether there are more."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def _with_body(body: bytes, receive: Receive) -> Receive:
    """Receives `body` first, then what comes after it."""
    message: Message | None = {"type": "http.request", "body": body, "more_body": False}

    async def receive_body() -> Message:
        nonlocal message
        if message is None:
            return await receive()
        first, message = message, None
        return first

    return receive_body
