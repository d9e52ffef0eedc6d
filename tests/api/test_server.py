"""`recsys serve` in a process of its own, met by clients that stall, by malformed requests, and by signals."""

import asyncio
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import pytest
import uvicorn

from api import server
from recsys.store.sessions import upgrade
from tests.servers import Service, recsys_serve

pytestmark = pytest.mark.slow

STALLED = 300
HEADER = b"POST /v1/recommendations HTTP/1.1\r\nHost: localhost\r\n"
HALF_BODY = HEADER + b"Content-Type: application/json\r\nContent-Length: 14\r\n\r\n" + b'{"history"'
OTHER_HALF = b":[]}"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with started(tmp_path_factory.mktemp("service")) as running:
        yield running


def started(folder: Path) -> AbstractContextManager[Service]:
    url = f"sqlite:///{folder}/recsys.db"
    upgrade(url)
    return recsys_serve(url)


def connected(service: Service, data: bytes) -> socket.socket:
    """A connection on which `data` was sent."""
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=60)
    connection.sendall(data)
    return connection


def until_closed(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


def problem_of(answer: bytes) -> tuple[int, str]:
    """Status and detail of the only answer in `answer`."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower(), answer
    return int(head.split()[1]), json.loads(body)["detail"]


@pytest.mark.parametrize(
    "request_",
    [b"\r\nGET /healthz HTTP/1.0\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"],
)
def test_an_old_client_is_answered(service: Service, request_: bytes) -> None:
    connection = connected(service, b"\r\n")
    connection.sendall(request_)
    assert b"200 OK" in until_closed(connection)


def test_stalled_clients_lock_nobody_out(service: Service) -> None:
    stalled = [connected(service, data) for data in (HEADER[:1], HALF_BODY) for _ in range(STALLED)]
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=5) as client:
            for number in range(20):
                statuses = [
                    client.get("/healthz").status_code,
                    client.put(f"/v1/items/{number}", json={"title": "a film"}).status_code,
                    client.get(f"/v1/items/{number}").status_code,
                    client.post("/v1/recommendations", json={"history": [str(number)]}).status_code,
                    client.get("/metrics").status_code,
                ]
                assert statuses == [200] * 5
        assert all(not ended(connection) for connection in stalled)  # they did stall all the while
    finally:
        for connection in stalled:
            connection.close()


def ended(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) is not None
    except BlockingIOError:
        return False


@pytest.mark.parametrize(
    ("request_", "status", "detail"),
    [
        (b"NONSENSE\r\n\r\n", 400, "no valid HTTP request"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "Host"),
        (HEADER + b"Content-Length: x\r\n\r\n", 400, "Content-Length"),
        (HEADER + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400, "chunk"),
        (HEADER + b"Transfer-Encoding: gzip\r\n\r\n", 501, "chunked"),
        (HEADER + b"X: " + b"x" * 100_000, 431, "too long"),
        (HEADER + b"Content-Length: 14\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "Transfer-Encoding"),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 400, "evil.example"),
    ],
)
def test_a_malformed_request_is_a_problem(service: Service, request_: bytes, status: int, detail: str) -> None:
    answer = problem_of(until_closed(connected(service, request_)))
    assert answer[0] == status
    assert detail in answer[1]


def test_a_slow_client_is_cut_off(service: Service) -> None:
    """All kinds at once, so that the test takes as long as the longest limit."""
    ok = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

    async def run() -> None:
        cases = {
            "nothing sent": (b"", b"", 10, None),
            "header by byte": (b"", HEADER * 10, 10, 408),
            "second header by byte": (ok, HEADER * 10, 10, 408),
            "kept alive": (ok, b"", 5, None),
            "body that stalls": (HALF_BODY, b"", 30, 408),
            "body by byte": (HALF_BODY.replace(b"14", b"999"), b" " * 60, 30, 408),
        }
        waits = await asyncio.gather(*(cut_off(service, first, drip) for first, drip, _, _ in cases.values()))
        for (name, (_, _, seconds, status)), (waited, last) in zip(cases.items(), waits, strict=True):
            assert seconds - 0.5 < waited < seconds + 2.5, (name, waited)
            assert (problem_of(last)[0] if last else None) == status, name

    asyncio.run(run())


async def cut_off(service: Service, first: bytes, drip: bytes) -> tuple[float, bytes]:
    """Sends `first`, then a byte of `drip` each second. Seconds until the server closed, and its 408 if it sent one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(first)
    begin = time.monotonic()
    answer = asyncio.create_task(reader.read())
    for byte in drip:
        writer.write(bytes([byte]))
        if (await asyncio.wait([answer], timeout=1))[0]:
            break
    last = await answer
    waited = time.monotonic() - begin
    writer.close()
    return waited, last[last.rfind(b"HTTP/1.1 ") :] if b"HTTP/1.1 408" in last else b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_requests_finish_and_ends_with_status_0(tmp_path: Path, number: int) -> None:
    with started(tmp_path) as running:
        httpx2.put(f"http://127.0.0.1:{running.port}/v1/items/a", json={"title": "a film"}).raise_for_status()
        stalled = [connected(running, data) for data in (HEADER[:1], HALF_BODY) for _ in range(20)]
        in_flight = connected(running, HALF_BODY)
        threading.Timer(1, lambda: in_flight.sendall(OTHER_HALF)).start()
        begin = time.monotonic()
        status, output = running.stop(number)
        assert time.monotonic() - begin < 10
        assert (status, output) == (0, "stopped\n")
        assert until_closed(in_flight).startswith(b"HTTP/1.1 200")
        assert problem_of(until_closed(stalled[-1]))[0] == 503
        for connection in stalled:
            connection.close()
    assert {file.name for file in tmp_path.iterdir()} == {"recsys.db"}  # closed, for SQLite's log is gone


def test_a_server_that_cannot_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "EXIT_SECONDS", 0.01)
    given_up = threading.Event()
    stuck = server.Server(uvicorn.Config("api.app:nothing", log_config=None), give_up=given_up.set)
    stuck.handle_exit(signal.SIGTERM, None)
    assert given_up.wait(5)
