"""Commands on versions."""

from typing import Annotated

import typer

from recsys.cli.shared import Group, console, open_store
from recsys.settings import Settings

bundles = typer.Typer(cls=Group, no_args_is_help=True, help="Versions of what is served.")


@bundles.command("list")
def list_bundles() -> None:
    """All bundles, oldest first: state, when trained, where, with which parts, and which evaluation bundle measures it."""
    from recsys.bundle import evaluation_uri

    with open_store(Settings()) as store:
        for record in store.bundles():
            console.print(f"{record.state:8}{record.manifest['created']}  {record.uri}", soft_wrap=True)
            console.print(f"        {', '.join(record.manifest['parts'])}", soft_wrap=True)
            if measured_by := evaluation_uri(record.manifest["about"]):
                console.print(f"        learned all events; measured by {measured_by}", soft_wrap=True)


@bundles.command("activate")
def activate(uri: Annotated[str, typer.Argument(help="As `recsys bundles list` shows it.")]) -> None:
    """Serve this bundle. One that is damaged or cannot answer is refused, and the one before stays."""
    from recsys.bundle import evaluation_uri
    from recsys.bundle_io import absolute, load_bundle, read_manifest
    from recsys.ranking.trial import check_answers
    from recsys.retrieval.lists.serving import list_serving_model
    from recsys.retrieval.serving import serving_model
    from recsys.training.job import EVALUATION

    uri = absolute(uri)
    bundle = load_bundle(uri)
    check_answers(serving_model(bundle), list_serving_model(bundle), size=len(bundle.item_ids))
    with open_store(Settings()) as store:
        store.add_bundle(uri, read_manifest(uri))
        store.activate_bundle(uri)
        deployed = [record.uri for record in store.bundles() if evaluation_uri(record.manifest["about"]) == uri]
    console.print(f"active: {uri}; running servers take it up within seconds", soft_wrap=True)
    if deployed or uri.endswith(EVALUATION):
        console.print(
            "it is an evaluation bundle, fitted without the newest events: "
            f"activate {deployed[-1] if deployed else 'the deployed bundle of its training'} to answer with all of them",
            style="yellow",
            soft_wrap=True,
        )


@bundles.command("rollback")
def rollback() -> None:
    """Serve the bundle that was active before this one. Again goes back one more; `bundles activate` goes forward."""
    with open_store(Settings()) as store:
        record = store.rollback_bundle()
    console.print(f"active: {record.uri}; running servers take it up within seconds", soft_wrap=True)
