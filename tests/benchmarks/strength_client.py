"""A client light enough to leave the server its core: plain sockets in one loop, requests made beforehand."""

import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.harness import ROOT

CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Round:
    """What one burst of requests gave: `rate` of answers a second, each one's seconds, the server's processor time."""

    rate: float
    seconds: list[float]
    server_seconds: float


@dataclass(slots=True, eq=False)
class _Connection:
    to: socket.socket
    got: bytearray = field(default_factory=bytearray)
    sent_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running `strength_server`."""

    port: int
    pid: int

    def drive(self, requests: Sequence[bytes], *, connections: int = CONNECTIONS) -> Round:
        """Sends all `requests` over some connections, on each the next one when the last was answered with status 200."""
        waiting, seconds = iter(requests), list[float]()
        before, started = self.processor_seconds(), time.perf_counter()
        with selectors.DefaultSelector() as selector:
            for _ in range(connections):
                connection = _Connection(socket.create_connection(("127.0.0.1", self.port)))
                connection.to.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if _send_next(connection, waiting):
                    selector.register(connection.to, selectors.EVENT_READ, connection)
            while selector.get_map():
                for key, _ in selector.select():
                    connection = key.data
                    if not _whole(connection):
                        continue
                    seconds.append(time.perf_counter() - connection.sent_at)
                    if not _send_next(connection, waiting):
                        selector.unregister(connection.to)
                        connection.to.close()
        elapsed = time.perf_counter() - started
        return Round(len(seconds) / elapsed, seconds, self.processor_seconds() - before)

    def ask(self, request: bytes) -> bytes:
        """The body of one answer."""
        connection = _Connection(socket.create_connection(("127.0.0.1", self.port)))
        connection.to.sendall(request)
        while not _whole(connection, clear=False):
            pass
        connection.to.close()
        return bytes(connection.got).partition(b"\r\n\r\n")[2]

    def resident(self) -> int:
        """Bytes of memory that the process holds."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def processor_seconds(self) -> float:
        """Processor time the process has taken so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(url: str) -> Iterator[Server]:
    """A server over the store at `url`, ready; it ends with the block."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.benchmarks.strength_server", url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield Server(int(process.stdout.readline()), process.pid)
        finally:
            process.stdin.close()  # the server sees it and goes
            process.wait(60)


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()


def send(method: str, path: str, body: Any) -> bytes:
    """A request with a JSON body; bytes are sent as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    )
    return head.encode() + b"\r\n\r\n" + content


def _send_next(connection: _Connection, waiting: Iterator[bytes]) -> bool:
    request = next(waiting, None)
    if request is None:
        return False
    connection.sent_at = time.perf_counter()
    connection.to.sendall(request)
    return True


def _whole(connection: _Connection, *, clear: bool = True) -> bool:
    """Reads what is there; True once the answer is complete."""
    if not (piece := connection.to.recv(1 << 18)):
        raise ConnectionError("the server hung up")
    connection.got += piece
    head, blank, body = connection.got.partition(b"\r\n\r\n")
    if not blank or len(body) < int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]):
        return False
    if b" 200 " not in head[:16]:
        raise ConnectionError(bytes(connection.got[:500]).decode(errors="replace"))
    if clear:
        connection.got.clear()
    return True
