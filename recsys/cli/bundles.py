"""Commands on versions."""

from typing import Annotated

import typer

from recsys.cli.shared import Group, console, open_store
from recsys.settings import Settings

bundles = typer.Typer(cls=Group, no_args_is_help=True, help="Versions of what is served.")


@bundles.command("list")
def list_bundles() -> None:
    """All bundles, oldest first."""
    from rich.table import Table

    with open_store(Settings()) as store:
        table = Table("state", "bundle", "trained", "parts")
        for one in store.bundles():
            table.add_row(one.state, one.uri, one.manifest["created"], ", ".join(one.manifest["parts"]))
        console.print(table)


@bundles.command("activate")
def activate(uri: Annotated[str, typer.Argument(help="As `recsys bundles list` shows it.")]) -> None:
    """Serve this bundle. One that is damaged is refused, and the one before stays."""
    from recsys.bundle import load_bundle, read_manifest

    load_bundle(uri)
    with open_store(Settings()) as store:
        store.add_bundle(uri, read_manifest(uri))
        store.activate_bundle(uri)
    console.print(f"active: {uri}; a running server takes it up when it is restarted", soft_wrap=True)


@bundles.command("rollback")
def rollback() -> None:
    """Serve the bundle that was active before."""
    with open_store(Settings()) as store:
        record = store.rollback_bundle()
    console.print(f"active: {record.uri}; a running server takes it up when it is restarted", soft_wrap=True)
