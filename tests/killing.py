"""A server that is killed under load, again and again, and what must be there because it was acknowledged.

The server is a process of its own, forked from one that has imported everything, and ends by SIGKILL alone.
"""

import http.client
import json
import multiprocessing
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from typing import Any

from recsys.store import Store
from recsys.store.records import ItemDraft

ITEMS = ("a", "b", "c")
WRITERS = 4
TOGETHER = 3
"""Events of one request: all or none of them."""
LONGEST = 0.25
"""Seconds under load before a kill, at most, from the first write that is acknowledged."""


@dataclass
class Said:
    """What one writer was told, and what it never got an answer to."""

    events: dict[str, str] = field(default_factory=dict)  # event id: user
    gone: list[str] = field(default_factory=list)  # event ids
    items: dict[str, str] = field(default_factory=dict)  # item id: title
    playlists: dict[str, list[str]] = field(default_factory=dict)
    open: list[list[str]] = field(default_factory=list)  # event ids of requests without an answer

    @property
    def count(self) -> int:
        return len(self.events) + len(self.gone) + len(self.items) + len(self.playlists)


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: writes acknowledged before it, and what of them the store lacks or has in half."""

    acknowledged: int
    lost: list[str]


def kills(url: str, *, times: int, seed: int) -> Iterator[Kill]:
    """Kills a server over the migrated database at `url` under load; yields after each what was lost."""
    chance = random.Random(seed)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.killing", "api.app", "recsys.service", "uvicorn"])
    with closing(Store.open(url)) as store:
        store.put_items([ItemDraft(item_id=one) for one in ITEMS])
        for number in range(times):
            mine, its = context.Pipe(duplex=False)
            server = context.Process(target=_serve, args=(url, its), daemon=True)
            server.start()
            said = [Said() for _ in range(WRITERS)]
            try:
                port = _up(mine)
                writers = [
                    threading.Thread(target=_write, args=(port, f"{number}-{one}", said[one])) for one in range(WRITERS)
                ]
                for writer in writers:
                    writer.start()
                _under_load(said)
                time.sleep(chance.uniform(0, LONGEST))
            finally:
                assert server.pid is not None
                os.kill(server.pid, signal.SIGKILL)
                server.join()
            for writer in writers:
                writer.join()
            yield Kill(sum(one.count for one in said), [what for one in said for what in lost(store, one)])


def _serve(url: str, port: Pipe) -> None:
    import uvicorn

    from api.app import create_app
    from recsys.service import Recommender

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    app = create_app(Recommender(Store.open(url)))
    listener.listen()
    port.send(listener.getsockname()[1])
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[listener])


def _up(pipe: Pipe) -> int:
    """The port, once the server answers there."""
    assert pipe.poll(60), "the server does not come up"
    port: int = pipe.recv()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        _ask(connection, "GET", "/healthz", None)
    return port


def _under_load(said: Sequence[Said]) -> None:
    """Waits for the first acknowledged write: on a busy machine it takes its time."""
    until = time.monotonic() + 60
    while not any(one.count for one in said):
        assert time.monotonic() < until, "nothing is acknowledged"
        time.sleep(0.001)


def _write(port: int, name: str, said: Said) -> None:
    """Writes until the server is gone."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    number = 0
    try:
        while True:
            number += 1
            _write_all(connection, f"{name}-{number}", said)
    except (OSError, http.client.HTTPException):
        return
    finally:
        connection.close()


def _write_all(connection: http.client.HTTPConnection, name: str, said: Said) -> None:
    """One write of each kind; what is acknowledged is noted after the whole answer is read."""
    user = f"u{name[-1]}"
    ids = [f"{name}-{one}" for one in range(TOGETHER)]
    said.open.append(ids)
    _ask(connection, "POST", "/v1/events", [{"user_id": user, "item_id": "a", "event_id": one} for one in ids])
    said.events |= dict.fromkeys(ids, user)
    said.open.pop()
    _ask(connection, "PUT", f"/v1/items/{name}", {"title": name})
    said.items[name] = name
    _ask(connection, "PUT", f"/v1/playlists/{name}", {"item_ids": [*ITEMS, name]})
    said.playlists[name] = [*ITEMS, name]
    del said.events[ids[0]]  # from here on nobody knows
    _ask(connection, "DELETE", f"/v1/events/{ids[0]}", None)
    said.gone.append(ids[0])


def _ask(connection: http.client.HTTPConnection, method: str, path: str, body: Any) -> None:
    content = None if body is None else json.dumps(body)
    connection.request(method, path, body=content, headers={"Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    assert response.status in (200, 201, 204), text


def lost(store: Store, said: Said) -> Iterator[str]:
    """What was acknowledged and is not there, or is there in half."""
    wanted = [*said.events, *said.gone, *(one for ids in said.open for one in ids)]
    held = {event.event_id: event.user_id for event in store.stored_events(wanted)}
    yield from (f"event {one}" for one, user in said.events.items() if held.get(one) != user)
    yield from (f"deletion of event {one}" for one in said.gone if one in held)
    yield from (f"half of events {ids}" for ids in said.open if 0 < sum(one in held for one in ids) < len(ids))
    yield from (f"item {one}" for one, title in said.items.items() if store.item(one).title != title)
    yield from (
        f"playlist {one}" for one, items in said.playlists.items() if list(store.playlist(one).item_ids) != items
    )
