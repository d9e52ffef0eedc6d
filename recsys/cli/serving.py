"""Commands that run the service and look after it."""

import logging
import socket
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from recsys.cli.shared import console, device, fail, open_recommender, open_store
from recsys.errors import RecsysError
from recsys.settings import Settings

if TYPE_CHECKING:
    from recsys.store import Store

Bundle = Annotated[str | None, typer.Option(help="URI of a bundle; by default the active one.")]


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; by default RECSYS_HOST.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = None,
    bundle: Bundle = None,
) -> None:
    """Answer over HTTP, with a page to try it at /."""
    settings = Settings()
    chosen = settings.model_copy(
        update={"host": host or settings.host, "port": settings.port if port is None else port}
    )
    run_server(chosen, bundle=bundle)


def run_server(settings: Settings, *, bundle: str | None = None, listener: socket.socket | None = None) -> None:
    """Serves until it is stopped, on `listener` or on the address of the settings."""
    import uvicorn

    from api.app import create_app

    listener = listener or listen(settings)
    with open_recommender(settings, bundle=bundle) as (recommender, _):
        recommender.warm_up()
        for reason in recommender.readiness().reasons:
            console.print(reason, style="yellow", soft_wrap=True)
        host, port = listener.getsockname()[:2]
        console.print(f"serving on http://{host}:{port} (stop with Ctrl-C)", soft_wrap=True)
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        config = uvicorn.Config(create_app(recommender), log_config=None, access_log=False)
        uvicorn.Server(config).run(sockets=[listener])


def doctor() -> None:
    """Say what is wrong with this installation, and what to do."""
    settings = Settings()
    troubles = 0
    for what, check in {
        "database": _database,
        "active bundle": _bundle,
        "text encoder": _text_encoder,
        "device": device,
        "sample data": _samples,
    }.items():
        try:
            console.print(Text.assemble(("ok", "green"), f"  {what}: {check(settings)}"), soft_wrap=True)
        except (RecsysError, ValueError) as error:
            troubles += 1
            console.print(Text.assemble(("bad", "red"), f" {what}: {error}"), soft_wrap=True)
    if troubles:
        raise typer.Exit(1)


def listen(settings: Settings) -> socket.socket:
    """The address of the settings, taken for this process; ends the command where another has it.

    It names TCP: only where a socket says so does asyncio send small packets at once; without, an answer waits for 40 ms.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        fail(f"cannot listen on {settings.host}:{settings.port} ({error.strerror}): choose another with --port")
    return listener


def _database(settings: Settings) -> str:
    with open_store(settings) as store:
        return f"{settings.database_url} holds {_counted(store)}"


def _counted(store: "Store") -> str:
    counts = store.counts()
    return f"{counts.items:,} items, {counts.users:,} users, {counts.events:,} events, {counts.playlists:,} playlists"


def _bundle(settings: Settings) -> str:
    from recsys.bundle_io import load_bundle
    from recsys.errors import NotReady

    with open_store(settings) as store:
        record = store.active_bundle()
    if record is None:
        raise NotReady("none: run `recsys train blend`")
    return f"{record.uri} with {', '.join(load_bundle(record.uri).parts)}"


def _text_encoder(settings: Settings) -> str:
    from recsys.encoders.resolve import text_encoder

    return text_encoder(settings.text_encoder).name


def _samples(settings: Settings) -> str:
    """Only the quickstart needs them: that there are none is no fault of an installation, that they are damaged is."""
    from recsys.importing.samples import FILMS, SHOWS, check

    if not any((settings.data / wheel.file).exists() for wheel in (FILMS, SHOWS)):
        return "none (`recsys quickstart` fetches them)"
    check(settings.data)
    return str(settings.data)
