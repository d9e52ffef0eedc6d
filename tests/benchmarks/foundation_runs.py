"""The trainings that the foundation benchmark measures: store, parts, blend, figures per user; each kept once made."""

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Bundle
from recsys.bundle_io import load_bundle, save_bundle
from recsys.data.splits import split_by_fold
from recsys.evaluation.ranking_eval import measure
from recsys.importing.files import import_events, import_items
from recsys.retrieval.registry import kinds
from recsys.retrieval.serving import serving_model
from recsys.store import Store
from recsys.store.sessions import upgrade
from recsys.training.bundling import BLEND, Trained, train_bundle
from recsys.training.inputs import TrainingInputs, load_inputs
from recsys.training.plan import Plan
from recsys.training.recipe_types import TwoStageFit
from tests.benchmarks.harness import artifact, say

PLAN = Plan(text_encoder="packaged", include_seen=False)
FIXED = tuple(kinds(lambda can: can.answers == "items" and can.default_blend and can.baseline))
"""Fitted once for all seeds."""

FIGURES = "figures.npz"
"""NDCG@10 of the simple sources, beside them: every seed has the same."""

Users = dict[str, NDArray[np.float64]]
"""NDCG@10 of each part, user by user."""


def files(data: Path, name: str) -> list[Path]:
    return [data / name / "items.parquet", data / name / "interactions.parquet"]


def fixed(data: Path, name: str) -> str:
    """The URI of a bundle with the simple sources, made once; their fits without validation lie inside it."""
    folder = artifact("fixed", name, files=files(data, name))
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        started = time.monotonic()
        inputs = _inputs(data, name, seed=0)
        trained = _train(inputs, FIXED, included={}, default=FIXED[0])
        uri = save_bundle(trained.bundle, str(folder), name="whole.partial")
        save_bundle(replace(trained.bundle, parts=trained.selection), uri, name="selection")
        _save(Path(uri) / FIGURES, _measured(trained.bundle, inputs, FIXED))
        Path(uri).rename(folder / "whole")
        say(f"simple sources of {name}: {time.monotonic() - started:.0f} s")
    return str(folder / "whole")


def blend(data: Path, name: str, seed: int) -> Users:
    """The default model of one seed, measured on test; the simple sources are those of `fixed`."""
    path = artifact("blend", name, seed, files=files(data, name)).with_suffix(".npz")
    if not path.exists():
        started = time.monotonic()
        uri = fixed(data, name)
        refit, selection = load_bundle(uri), load_bundle(f"{uri}/selection")
        included = {part: TwoStageFit(selection.part(part), refit.part(part)) for part in FIXED}
        inputs = _inputs(data, name, seed=seed)
        bundle = _train(inputs, [BLEND], included=included, default=BLEND).bundle
        new = [part for part in bundle.parts if part not in FIXED]
        _save(path, dict(np.load(Path(uri) / FIGURES)) | _measured(bundle, inputs, new))
        say(f"blend of {name}, seed {seed}: {time.monotonic() - started:.0f} s, {bundle.about['left_out']}")
    return dict(np.load(path))


def imported(data: Path, name: str) -> str:
    """URL of a store with the data set, brought in as a user would, its texts encoded; made once."""
    folder = artifact("store", name, files=files(data, name))
    url = f"sqlite:///{folder}/recsys.db"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        upgrade(url)
        store = Store.open(url)
        for path, take in zip(files(data, name), (import_items, import_events), strict=True):
            *_, report = take(store, path)
            assert not report.rejected, (path, report)
        load_inputs(store, PLAN)  # encodes the texts
        store.close()
        (folder / "ready").touch()
    return url


def _inputs(data: Path, name: str, *, seed: int) -> TrainingInputs:
    store = Store.open(imported(data, name))
    inputs = load_inputs(store, replace(PLAN, seed=seed))
    store.close()
    return inputs


def _train(
    inputs: TrainingInputs, names: Sequence[str], *, included: Mapping[str, TwoStageFit], default: str
) -> Trained:
    facts = train_bundle(names, inputs.data, inputs.text, inputs.plan, default=default, included=included)
    return next(fact for fact in facts if isinstance(fact, Trained))


def _measured(bundle: Bundle, inputs: TrainingInputs, names: Iterable[str]) -> Users:
    """NDCG@10 of the parts `names` on test."""
    cases, include_seen = split_by_fold(inputs.data).test, inputs.plan.include_seen
    measured = measure(serving_model(bundle), cases, items=inputs.data.items, include_seen=include_seen, names=names)
    return {metrics.name: metrics.ndcg for metrics in measured}


def _save(path: Path, users: Users) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **users)  # type: ignore[arg-type]  # a stub that allows no names
    partial.replace(path)
