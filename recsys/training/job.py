"""The one training job: read the inputs, run the recipe of the part, save the bundle, register it, clean up."""

import shutil
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from recsys.bundle import Bundle
from recsys.bundle_io import check_free, load_bundle, new_name, read_manifest, save_bundle
from recsys.encoders.catalogue_parts import KIND as ITEM_TEXT
from recsys.errors import BundleError, InvalidRequest
from recsys.private_files import FOLDER, open_private
from recsys.store import Store
from recsys.training.bundling import BLEND, Trained, check_known
from recsys.training.inputs import (
    PRE_VALIDATION,
)
from recsys.training.plan import Plan, Progress
from recsys.training.run_key import RunKey
from recsys.training.runs import Run, prepare_run

EVALUATION = "-evaluation"
"""Ends the name of an evaluation bundle; before it stands that of the deployed bundle."""
SAVED = "evaluation-bundle.ckpt"
"""Checkpoint of a run whose evaluation bundle is saved: its URI."""


@dataclass(frozen=True, slots=True)
class Saved:
    """Where the bundle lies, and what it holds."""

    uri: str
    bundle: Bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRequest:
    """What to train: `model` is a part, or `blend`, which takes in the parts of the bundles `include`.

    With `domain` the text encoder of the one bundle in `include` gets an expert for it, and nothing else of it changes. The
    bundle is saved as `folder`/`name`; `checkpoints` is the folder for runs that were interrupted. With `refit` this is the
    deployed bundle, which has learned everything, and the evaluation bundle is saved as `folder`/`name`-evaluation.
    `include_seen=None` follows the data.
    """

    model: str
    folder: str
    checkpoints: Path
    name: str | None = None
    include: tuple[str, ...] = ()
    domain: str | None = None
    include_seen: bool | None = None
    refit: bool = True


def train_from_store(
    store: Store, plan: Plan, request: TrainingRequest, *, resume: bool = False
) -> Generator[Progress | Saved, None, None]:
    """Trains what `request` asks for on the data of the store: the evaluation bundle, and the deployed bundle after it.

    An interrupted run leaves its checkpoints, and `resume` goes on from them to the same result; a finished one removes them.

    Raises:
        NotReady: there are no events.
        InvalidRequest: there is no such model.
        BundleError: an included bundle cannot be used, or the new one cannot be written.
    """
    _check(plan, request, resume=resume)
    run = yield from prepare_run(
        store,
        plan,
        request.model,
        include=request.include,
        domain=request.domain,
        include_seen=request.include_seen,
    )
    checkpoints = request.checkpoints / run.key.folder
    yield from _warn_without_checkpoint(run.key, request.checkpoints, resume=resume)
    plan = replace(run.plan, checkpoints=checkpoints, resume=resume)
    saved = (yield from _saved_before(checkpoints)) if resume else None
    if saved is None:
        saved = yield from _train(store, run, plan, request)
    if request.refit and run.refit is not None:
        saved = yield from _deploy(store, run.refit(saved.bundle, plan), request, evaluation=saved.uri)
    shutil.rmtree(checkpoints, ignore_errors=True)
    yield saved


def _check(plan: Plan, request: TrainingRequest, *, resume: bool) -> None:
    """Before anything is read: what is asked for exists, and there is room for it."""
    if request.domain is not None and (request.model != ITEM_TEXT or len(request.include) != 1):
        raise InvalidRequest(f"a domain is added to the encoder of one bundle: `recsys train {ITEM_TEXT} --with URI`")
    check_known([] if request.model == BLEND else [request.model], settings=plan.overrides)
    if request.name is not None:
        check_free(request.folder, request.name)
        if request.refit and not resume:
            check_free(request.folder, request.name + EVALUATION)


def _saved_before(checkpoints: Path) -> Generator[Progress, None, Saved | None]:
    """Returns the evaluation bundle that the interrupted run had saved, if it had."""
    if not (path := checkpoints / SAVED).exists():
        return None
    uri = path.read_text(encoding="utf-8")
    try:
        saved = Saved(uri, load_bundle(uri))
    except BundleError as error:
        yield Progress(checkpoints.name, f"the evaluation bundle of this run is trained again: {error}")
        return None
    yield Progress(saved.bundle.default, f"evaluation bundle: {uri}, trained before")
    return saved


def _train(store: Store, run: Run, plan: Plan, request: TrainingRequest) -> Generator[Progress, None, Saved]:
    """Trains and saves what is measured. Where a refit follows, it is saved beside the name that the deployed bundle gets."""
    name = request.name or new_name(request.model)
    if request.refit and run.refit is not None:
        check_free(request.folder, name := name + EVALUATION)
    for fact in run.train(plan):
        match fact:
            case Progress():
                yield fact
            case Trained():
                uri = save_bundle(fact.bundle, request.folder, name=name)
                if fact.selection:
                    save_bundle(replace(fact.bundle, parts=fact.selection), uri, name=PRE_VALIDATION)
                store.add_bundle(uri, read_manifest(uri))
                if request.refit and run.refit is not None:
                    _note(plan.checkpoints, uri)
                    yield Progress(fact.bundle.default, f"evaluation bundle: {uri}")
                return Saved(uri, replace(fact.bundle, uri=uri))
    raise AssertionError("a training ends with what was trained")


def _note(checkpoints: Path | None, uri: str) -> None:
    """Notes that the run has come as far as its evaluation bundle."""
    assert checkpoints is not None
    checkpoints.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    with open_private(checkpoints / SAVED, encoding="utf-8") as file:
        file.write(uri)


def _deploy(
    store: Store, facts: Iterator[Progress | Bundle], request: TrainingRequest, *, evaluation: str
) -> Generator[Progress, None, Saved]:
    """Saves the deployed bundle that `facts` end with, under the name of the run."""
    for fact in facts:
        match fact:
            case Progress():
                yield fact
            case Bundle():
                name = request.name or evaluation.rpartition("/")[2].removesuffix(EVALUATION)
                uri = save_bundle(fact, request.folder, name=name)
                store.add_bundle(uri, read_manifest(uri))
                return Saved(uri, replace(fact, uri=uri))
    raise AssertionError("a refit ends with a bundle")


def _warn_without_checkpoint(key: RunKey, checkpoints: Path, *, resume: bool) -> Iterator[Progress]:
    """Says that a run to be resumed starts over, and why, where it has no checkpoint."""
    if resume and not any((checkpoints / key.folder).rglob("*.ckpt")):
        changes = " and ".join(key.changes(checkpoints)) or "its settings or data may have changed"
        yield Progress(key.model, f"{checkpoints} holds no checkpoint of this run ({changes}): from the start")
