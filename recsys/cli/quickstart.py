"""The whole way in one command: real sample data, store, training, evaluation, service."""

import time
from pathlib import Path
from typing import Annotated

import typer

from recsys.cli.data import run_imports
from recsys.cli.models import run_evaluation, run_training
from recsys.cli.serving import listen, run_server
from recsys.cli.shared import console, device, open_store, prepare
from recsys.settings import Settings


def quickstart(
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Stop after the evaluation.")] = False,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Load real sample data, train, show how good the result is, and serve it with a page to try it.

    Works in the database of RECSYS_DATABASE_URL. Running it again trains anew on what is there.
    """
    from recsys.importing.files import import_events, import_items, import_playlists
    from recsys.importing.layouts.detect import ImportFile
    from recsys.importing.samples import fetch, write_files
    from recsys.store.sessions import upgrade
    from recsys.training.recipes import Plan

    started = time.monotonic()
    settings = Settings()
    prepare(settings, seed=seed)
    listener = None if no_serve else listen(settings)  # now: a port that is taken is not found out after the training
    for fact in fetch(settings.data):
        console.print(str(fact), soft_wrap=True)
    files = write_files(settings.data)
    upgrade(settings.database_url)
    run_imports(import_items, map(ImportFile, files.items))
    run_imports(import_events, map(ImportFile, files.events))
    run_imports(import_playlists, map(ImportFile, files.playlists))
    with open_store(settings) as store:
        plan = Plan(text_encoder=settings.text_encoder, include_seen=False, seed=seed, device=device(settings))
        saved = run_training(store, plan, settings, model="blend", resume=True)
        store.activate_bundle(saved.uri)
        run_evaluation(store, bundle=saved.uri, out=Path("artifacts/evaluation"), seed=seed, device=plan.device)
    console.print(f"done in {time.monotonic() - started:.0f} s")
    if listener:
        run_server(settings, listener=listener)
