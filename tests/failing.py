"""A disk that is full, for this process and those that it starts."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """Within, no file of this process, nor of one that it starts, grows beyond `room` bytes: the write fails.

    The system says "file too large" in place of "no space left", through the same call and at the same places.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
