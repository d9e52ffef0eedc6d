"""Plain ASGI middleware around every request. None of it waits for a thread."""

import re
import string
import time
import uuid
from collections.abc import Iterable
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import Metrics
from api.problems import RETRY_AFTER, problem
from recsys.logs import REQUEST_ID

SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~:")
OPEN = frozenset({"/healthz", "/readyz", "/metrics"})
MAX_HOST = 100
ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class RequestContextMiddleware:
    """Gives each request an id, measures it, and adds the headers that every answer has."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        REQUEST_ID.set(request_id)
        status = 500  # what an exception on its way out will become
        begin = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Request-ID", request_id)
                headers.setdefault("Cache-Control", "no-store")
                headers.update(SECURITY)
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            seconds = time.perf_counter() - begin
            self.metrics.request(method=scope["method"], route=route, status=status, seconds=seconds)


class HostMiddleware:
    """Refuses requests to other host names than `allowed`.

    Otherwise a page of a stranger could read and delete what is here, once the name of its own site leads to this address
    (DNS rebinding). The port is not compared; `*.example.com` allows the names below it, and `*` any.
    A request without the header is let in: only HTTP/1.0 may leave it out, and no browser does. Starlette's
    `TrustedHostMiddleware` answers in plain text, and with redirects.
    """

    def __init__(self, app: ASGIApp, *, allowed: Iterable[str]) -> None:
        self.app = app
        self.allowed = frozenset(_bracketed(name.lower()) for name in allowed)
        self.suffixes = tuple(name[1:] for name in self.allowed if name.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or "*" in self.allowed
            or not _names_host(scope)
            or self._allows(host := _host_name(scope))
        ):
            await self.app(scope, receive, send)
            return
        detail = (
            f"the host {host[:MAX_HOST]!r} is not served here: use {self._names()}, or add it to RECSYS_ALLOWED_HOSTS"
        )
        await problem(scope["state"]["request_id"], 400, detail)(scope, receive, send)

    def _allows(self, host: str) -> bool:
        return host in self.allowed or (bool(self.suffixes) and host.endswith(self.suffixes))

    def _names(self) -> str:
        return " or ".join(sorted(self.allowed, reverse=True))


def _names_host(scope: Scope) -> bool:
    return any(name == b"host" for name, _ in scope["headers"])


class HeadMiddleware:
    """Answers HEAD as GET, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        as_get = {**scope, "method": "GET"}
        try:
            await self.app(as_get, receive, send_without_body)
        finally:
            scope["route"] = as_get.get("route")


class LoadSheddingMiddleware:
    """Answers 503 at once while `limit` requests are at work, instead of letting a queue grow.

    The routes in `OPEN`, which report on the service, are always answered.
    """

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self.app = app
        self.limit = limit
        self.detail = f"{limit} requests are at work already: try again in {RETRY_AFTER} seconds"
        self._at_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        if self._at_work >= self.limit:
            retry = {"Retry-After": str(RETRY_AFTER)}
            await problem(scope["state"]["request_id"], 503, self.detail, headers=retry)(scope, receive, send)
            return
        self._at_work += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._at_work -= 1


class RawPathMiddleware:
    """Routes paths as they were sent, still percent-encoded, so that an id may hold anything.

    Servers decode before routing; then `/v1/items/a%2Fsimilar` could not name the item `a/similar`, and a line break at
    the end of an id would be lost in a route's pattern. `api.schemas.fields.PathId` decodes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path", b"") if scope["type"] == "http" else b""
        if b"%" not in raw:
            await self.app(scope, receive, send)
            return
        try:
            routed = {**scope, "path": _routable(raw.decode("ascii"))}
        except ValueError:
            detail = "the path is no valid percent-encoded UTF-8: encode ids as such"
            await problem(scope["state"]["request_id"], 400, detail)(scope, receive, send)
            return
        try:
            await self.app(routed, receive, send)
        finally:
            scope["route"] = routed.get("route")


def _host_name(scope: Scope) -> str:
    """The host that the request names, without port and the last dot, in lower case; empty where it names none."""
    host = Headers(scope=scope).get("host", "").lower()
    name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    return name.removesuffix(".")


def _bracketed(name: str) -> str:
    """`name` as it stands in a Host header: an IPv6 address has brackets."""
    return f"[{name}]" if ":" in name and not name.startswith("[") else name


def _routable(raw: str) -> str:
    """`raw` with only those characters decoded that never need it. Raises ValueError where it is malformed."""
    if BAD_ESCAPE.search(raw):
        raise ValueError(raw)
    unquote(raw, errors="strict")
    return ESCAPE.sub(lambda match: char if (char := unquote(match[0])) in UNRESERVED else match[0], raw)
