"""One command from sample data to a running service: import, training, evaluation, serving."""

import time
from pathlib import Path
from typing import Annotated

import typer

from recsys.cli.evaluation import run_evaluation
from recsys.cli.imports import run_imports
from recsys.cli.serving import listen, run_server
from recsys.cli.shared import console, open_store, prepare
from recsys.cli.training import make_plan, run_training
from recsys.settings import Settings


def quickstart(
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Stop after the evaluation.")] = False,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Load real sample data, train, show how good the result is, and serve it with a page to try it.

    Works in the database of RECSYS_DATABASE_URL. Running it again trains anew on what is there.
    """
    started = time.monotonic()
    settings = Settings()
    prepare(settings, seed=seed)
    listener = None if no_serve else listen(settings)  # now: a port that is in use must not fail after the training
    _import_samples(settings)
    _train_and_evaluate(settings, seed=seed)
    console.print(f"done in {time.monotonic() - started:.0f} s")
    if listener:
        run_server(settings, listener=listener)


def _import_samples(settings: Settings) -> None:
    from recsys.importing.files import import_events, import_items, import_playlists
    from recsys.importing.layouts.detect import ImportFile
    from recsys.importing.samples import fetch, write_files
    from recsys.store.sessions import upgrade

    for fact in fetch(settings.data):
        console.print(str(fact), soft_wrap=True)
    files = write_files(settings.data)
    upgrade(settings.database_url)
    run_imports(import_items, map(ImportFile, files.items))
    run_imports(import_events, map(ImportFile, files.events))
    run_imports(import_playlists, map(ImportFile, files.playlists))


def _train_and_evaluate(settings: Settings, *, seed: int) -> None:
    plan = make_plan(settings, seed=seed)
    with open_store(settings) as store:
        interrupted = any(settings.checkpoints.glob("*"))
        saved = run_training(store, plan, settings, model="blend", resume=interrupted)
        store.activate_bundle(saved.uri)
        run_evaluation(store, bundle=saved.uri, out=Path("artifacts/evaluation"), seed=seed, device=plan.device)
