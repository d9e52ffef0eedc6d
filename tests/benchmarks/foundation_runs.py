"""The trainings that the foundation benchmark measures: store, parts, blend, figures per user; each kept once made."""

import json
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.bundle import Bundle
from recsys.bundle_io import load_bundle, save_bundle
from recsys.data.splits import split_by_fold
from recsys.evaluation.ranking_eval import measure
from recsys.importing.files import import_events, import_items
from recsys.retrieval.serving import deploy
from recsys.store import Store
from recsys.store.sessions import upgrade
from recsys.training.job import Material, material
from recsys.training.recipes import BLEND, Fits, Plan, Trained, train_bundle
from recsys.training.tuning import SIMPLE
from tests.benchmarks.harness import KEPT, ROOT, place, say

PLAN = Plan(text_encoder="packaged", include_seen=False)
FIXED = tuple(name for name in BLEND if name in SIMPLE)
"""Fitted once for all seeds."""

RECTOOLS = ("rectools[torch]==0.19.0", "numpy<2", "torch==2.13.0")

FIGURES = "figures.npz"
"""NDCG@10 of the simple sources, beside them: every seed has the same."""

Users = dict[str, NDArray[np.float64]]
"""NDCG@10 of each part, user by user."""


def files(data: Path, name: str) -> list[Path]:
    return [data / name / "items.parquet", data / name / "interactions.parquet"]


def fixed(data: Path, name: str) -> str:
    """The URI of a bundle with the simple sources, made once; its early fits lie inside it."""
    kept = place("fixed", name, files=files(data, name))
    if not (kept / "whole").exists():
        shutil.rmtree(kept, ignore_errors=True)
        started = time.monotonic()
        work = _material(data, name, seed=0)
        bundle, early = _train(work, FIXED, given={}, default=FIXED[0])
        uri = save_bundle(bundle, str(kept), name="whole.partial")
        save_bundle(replace(bundle, parts=early), uri, name="early")
        _save(Path(uri) / FIGURES, _measured(bundle, work, FIXED))
        Path(uri).rename(kept / "whole")
        say(f"simple sources of {name}: {time.monotonic() - started:.0f} s")
    return str(kept / "whole")


def blend(data: Path, name: str, seed: int) -> Users:
    """The default model of one seed, measured on test; the simple sources are those of `fixed`."""
    kept = place("blend", name, seed, files=files(data, name)).with_suffix(".npz")
    if not kept.exists():
        started = time.monotonic()
        uri = fixed(data, name)
        final, early = load_bundle(uri), load_bundle(f"{uri}/early")
        given = {part: Fits(early.part(part), final.part(part)) for part in FIXED}
        work = _material(data, name, seed=seed)
        bundle, _ = _train(work, BLEND, given=given, default="blend")
        new = [part for part in bundle.parts if part not in FIXED]
        _save(kept, dict(np.load(Path(uri) / FIGURES)) | _measured(bundle, work, new))
        say(f"blend of {name}, seed {seed}: {time.monotonic() - started:.0f} s, {bundle.about['left_out']}")
    return dict(np.load(kept))


def rectools(data: Path, name: str, seed: int) -> Users:
    """RecTools' SASRec on the same events, trained by its own Python."""
    kept = place("rectools", name, seed, RECTOOLS, files=files(data, name)).with_suffix(".npz")
    if not kept.exists():
        python = rectools_python()
        events = kept.with_suffix(".events.csv")
        _folded(data, name).write_csv(events)
        out = kept.with_suffix(".ndcg.csv")
        script = Path(__file__).with_name("rectools_sasrec.py")
        started = time.monotonic()
        subprocess.run([str(python), str(script), str(events), str(out), str(seed)], check=True, stdout=sys.stderr)
        say(f"RecTools' SASRec on {name}, seed {seed}: {time.monotonic() - started:.0f} s")
        _save(
            kept,
            {"rectools": pl.read_csv(out, schema_overrides={"user_id": pl.String}).sort("user_id")["ndcg"].to_numpy()},
        )
    return dict(np.load(kept))


def imported(data: Path, name: str) -> str:
    """URL of a store with the data set, brought in as a user would, its texts encoded; made once."""
    kept = place("store", name, files=files(data, name))
    url = f"sqlite:///{kept}/recsys.db"
    if not (kept / "ready").exists():
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        upgrade(url)
        store = Store.open(url)
        for path, take in zip(files(data, name), (import_items, import_events), strict=True):
            *_, report = take(store, path)
            assert not report.rejected, (path, report)
        material(store, PLAN)  # encodes the texts
        store.close()
        (kept / "ready").touch()
    return url


def _material(data: Path, name: str, *, seed: int) -> Material:
    store = Store.open(imported(data, name))
    work = material(store, replace(PLAN, seed=seed))
    store.close()
    return work


def _train(work: Material, names: tuple[str, ...], *, given: dict[str, Fits], default: str) -> tuple[Bundle, dict]:  # type: ignore[type-arg]
    for fact in train_bundle(names, work.data, work.text, work.plan, default=default, given=given):
        if isinstance(fact, Trained):
            return fact.bundle, dict(fact.early)
    raise AssertionError


def _measured(bundle: Bundle, work: Material, names: Iterable[str]) -> Users:
    """NDCG@10 of the parts `names` on test."""
    cases, include_seen = split_by_fold(work.data).test, work.plan.include_seen
    found = measure(deploy(bundle), cases, items=work.data.items, include_seen=include_seen, names=names)
    return {one.name: one.ndcg for one in found}


def _folded(data: Path, name: str) -> pl.DataFrame:
    """Leave-one-out by position, as `features.splits` cuts it."""
    events = pl.scan_parquet(data / name / "interactions.parquet").select("user_id", "item_id", "position")
    last, count = pl.col("position").max().over("user_id"), pl.len().over("user_id")
    is_test = (pl.col("position") == last) & (count >= 3)
    return events.with_columns(fold=pl.when(is_test).then(2).otherwise(0)).collect()


def rectools_python() -> Path:
    """The Python of an environment of RecTools' own, made once: before two workers ask for it at the same time."""
    folder = KEPT / "rectools-venv"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *RECTOOLS], check=True, cwd=ROOT)
        (folder / "ready").write_text(json.dumps(RECTOOLS))
    return python


def _save(path: Path, users: Users) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".partial.npz")
    np.savez(beside, **users)  # type: ignore[arg-type]  # a stub that allows no names
    beside.replace(path)
