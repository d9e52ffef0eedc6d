"""The service in a process of its own, with one route more: a stored response, sent by an `async` function that does nothing.

    python -m tests.benchmarks.strength_server DATABASE_URL

Says its port in the first line of its output, and goes when its input ends.
"""

import sys
import threading

import torch
from fastapi import FastAPI, Request, Response

from api.app import create_app
from api.server import make_server
from recsys.cli.serving import listen
from recsys.service import Recommender
from recsys.settings import Settings
from recsys.store import Store


def with_stored(app: FastAPI) -> FastAPI:
    """`app`, which now also gives back at /stored/NAME what was put there."""
    stored: dict[str, bytes] = {}

    @app.put("/stored/{name}")
    async def keep(name: str, request: Request) -> None:
        stored[name] = await request.body()

    @app.get("/stored/{name}")
    async def give(name: str) -> Response:
        return Response(stored[name], media_type="application/json")

    return app


def serve(url: str) -> None:
    """As `recsys serve` does, until the input ends."""
    torch.set_num_threads(1)
    listener = listen(Settings(host="127.0.0.1", port=0))
    listener.listen()  # who connects before the application is ready waits
    store = Store.open(url)
    recommender = Recommender(store)
    recommender.warm_up()
    recommender.follow_activations()
    server = make_server(with_stored(create_app(recommender)))

    def ended() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=ended, daemon=True).start()
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    server.run(sockets=[listener])
    recommender.close()
    store.close()


if __name__ == "__main__":
    serve(sys.argv[1])
