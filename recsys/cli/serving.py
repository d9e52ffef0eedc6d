"""Commands that run the service and look after it."""

import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from recsys.cli.options import Bundle
from recsys.cli.shared import console, device, fail, open_recommender, open_store, signal_table
from recsys.errors import RecsysError
from recsys.settings import Settings

if TYPE_CHECKING:
    from recsys.store import Store


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; by default RECSYS_HOST.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = None,
    bundle: Bundle = None,
) -> None:
    """Answer over HTTP, with a page to try it at /."""
    settings = Settings()
    address = {"host": host or settings.host, "port": settings.port if port is None else port}
    run_server(settings.model_copy(update=address), bundle=bundle)


def run_server(settings: Settings, *, bundle: str | None = None, listener: socket.socket | None = None) -> None:
    """Serves until SIGTERM or Ctrl-C, on `listener` or on the address of the settings.

    Then it finishes the requests at work, closes the store and returns, all within 10 s: the process ends after that in any case.
    """
    from api.app import create_app
    from api.server import make_server

    listener = listener or listen(settings)
    with ExitStack() as signals, open_recommender(settings, bundle=bundle) as (recommender, _):
        recommender.warm_up()
        if bundle is None:
            recommender.follow_activations()
        for reason in recommender.readiness().reasons:
            console.print(reason, style="yellow", soft_wrap=True)
        host, port = listener.getsockname()[:2]
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        server = make_server(
            create_app(recommender, allowed_hosts=allowed_hosts(settings, address=host)), give_up=_give_up
        )
        signals.enter_context(_on_signals(server.handle_exit))
        listener.listen()  # now, so that who reads the next line can connect
        console.print(f"serving on http://{host}:{port} (stop with Ctrl-C)", soft_wrap=True)
        server.run(sockets=[listener])
    console.print("stopped")


@contextmanager
def _on_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Has `handler` called at SIGTERM and SIGINT, also while the store is being closed: uvicorn raises again what it got."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)


def _give_up() -> None:
    console.print("stopped; requests that took too long were not answered")
    os._exit(0)


def allowed_hosts(settings: Settings, *, address: str) -> tuple[str, ...]:
    """Those of the settings; by default the names of the loopback where `address` is one, and any name elsewhere."""
    loopback = ipaddress.ip_address(address).is_loopback
    return settings.allowed_hosts or (("localhost", "127.0.0.1", "[::1]", settings.host) if loopback else ("*",))


def doctor() -> None:
    """Say what is wrong with this installation, and what to do."""
    settings = Settings()
    checks: dict[str, Callable[[Settings], str]] = {
        "database": _database,
        "events": _events,
        "active bundle": _bundle,
        "text encoder": _text_encoder,
        "device": device,
        "sample data": _samples,
    }
    results = [_passes(name, check, settings) for name, check in checks.items()]
    if not all(results):
        raise typer.Exit(1)


def _passes(name: str, check: Callable[[Settings], str], settings: Settings) -> bool:
    """Prints the result of the check; False where it raises one of our errors."""
    try:
        console.print(Text.assemble(("ok", "green"), f"  {name}: {check(settings)}"), soft_wrap=True)
    except (RecsysError, ValueError) as error:
        console.print(Text.assemble(("bad", "red"), f" {name}: {error}"), soft_wrap=True)
        return False
    return True


def listen(settings: Settings) -> socket.socket:
    """A socket bound to the address of the settings. Ends the command where another process has that address.

    It names TCP: only on such a socket does asyncio set TCP_NODELAY, without which an answer waits for 40 ms.
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
    from recsys.store.urls import shown_url

    with open_store(settings) as store:
        return f"{shown_url(settings.database_url)} holds {_counts(store)}"


def _counts(store: "Store") -> str:
    counts = store.counts()
    return f"{counts.items:,} items, {counts.users:,} users, {counts.events:,} events, {counts.playlists:,} playlists"


def _events(settings: Settings) -> str:
    """The kinds in the store with what each counts for. Unknown ones are named in a line of their own."""
    from recsys.data.signal_summary import all_against, kinds_line, unknown_kinds
    from recsys.errors import NotReady

    table = signal_table(settings)
    with open_store(settings) as store:
        counts = store.kind_counts()
        if not counts and not store.playlist_count():
            raise NotReady("none, and no playlists: import some before training, with `recsys import events FILE`")
    if all_against(counts, table):
        raise NotReady(
            f"{kinds_line(counts, table)}: none speaks for its item, so that nothing can be learned; import views"
        )
    unknown = unknown_kinds((count.kind for count in counts), table)
    return (kinds_line(counts, table) or "none") + (f"\n    {unknown}" if unknown else "")


def _bundle(settings: Settings) -> str:
    from recsys.bundle_io import load_bundle
    from recsys.errors import NotReady
    from recsys.retrieval.lists.encoder import PREFIX
    from recsys.service.state.signal_drift import signal_drift

    with open_store(settings) as store:
        record, counts = store.active_bundle(), store.counts()
    if record is None:
        first = "" if counts.events or counts.playlists else "import events, then "
        raise NotReady(f"none: {first}run `recsys train blend`")
    bundle = load_bundle(record.uri)
    drift = None if bundle.default.startswith(PREFIX) else signal_drift(bundle.about, signal_table(settings))
    return f"{record.uri} with {', '.join(bundle.parts)}" + (f"\n    {drift}" if drift else "")


def _text_encoder(settings: Settings) -> str:
    from recsys.encoders.resolve import text_encoder

    return text_encoder(settings.text_encoder).name


def _samples(settings: Settings) -> str:
    """The state of the sample files. Missing ones pass the check, since only the quickstart needs them; damaged ones do not."""
    from recsys.importing.samples import FILMS, SHOWS, check

    if not any((settings.data / wheel.file).exists() for wheel in (FILMS, SHOWS)):
        return "none (`recsys quickstart` fetches them)"
    check(settings.data)
    return str(settings.data)
