"""`sasrec-text` and `sasrec-hybrid` on the catalogue's own text encoder and on frozen MiniLM: the same events, settings and seed.

The encoder learns from the events that both fits of a sequence model may learn from, so that neither has seen a target.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.bundle_io import load_bundle
from recsys.data.splits import split_by_fold
from recsys.evaluation.ranking_eval import measure
from recsys.importing.files import import_events, import_items
from recsys.retrieval.serving import serving_model
from recsys.store import Store
from recsys.store.sessions import upgrade
from recsys.training.inputs import load_inputs
from recsys.training.job import Saved, TrainingRequest, train_from_store
from recsys.training.plan import Plan
from tests.benchmarks.harness import artifact, say

SETS = ("amazon_industrial", "amazon_games")
MODELS = ("sasrec-text", "sasrec-hybrid")
TEXTS = ("frozen", "item-text")
USERS = 4000
"""Users of a set that take part: the larger one is drawn from, or its trainings alone would take the hour."""

PLAN = Plan(text_encoder="packaged", include_seen=False)
ENCODER = {"offered": [], "expert_layers": 0, "held_out": 0.0, "max_length": 32, "loop": {"epochs": 1}}


def gain(data: Path, name: str) -> dict[str, NDArray[np.float64]]:
    """NDCG@10 on test of each user, for each `MODEL TEXTS`."""
    files = [data / name / "items.parquet", data / name / "interactions.parquet"]
    folder = artifact("item-text-histories", name, USERS, ENCODER, files=files)
    figures = folder / "figures.npz"
    if not figures.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        store = _store(folder, files)
        encoder = _train(store, folder, replace(PLAN, overrides={"item-text": ENCODER}), model="item-text")
        ndcgs = {
            f"{model} {kind}": _ndcg(store, folder, replace(PLAN, text_encoder=text), model=model, kind=kind)
            for kind, text in zip(TEXTS, ("packaged", encoder), strict=True)
            for model in MODELS
        }
        store.close()
        partial = figures.with_suffix(".partial.npz")
        np.savez(partial, **ndcgs)  # type: ignore[arg-type]  # a stub without names
        partial.replace(figures)
        say(f"{name}: " + ", ".join(f"{kind} {ndcg.mean():.4f}" for kind, ndcg in ndcgs.items()))
    return dict(np.load(figures))


def _store(folder: Path, files: list[Path]) -> Store:
    """A store with the items that some of the users met, and their events."""
    items, events = (pl.read_parquet(path) for path in files)
    users = events["user_id"].unique().sort()
    events = events.filter(pl.col("user_id").is_in(users.sample(min(USERS, len(users)), seed=0).implode()))
    items = items.filter(pl.col("item_id").is_in(events["item_id"].unique().implode()))
    upgrade(url := f"sqlite:///{folder}/recsys.db")
    store = Store.open(url)
    for frame, take in ((items, import_items), (events, import_events)):
        frame.write_parquet(path := folder / f"{take.__name__}.parquet")
        *_, report = take(store, path)
        assert not report.rejected, (path, report)
    return store


def _train(store: Store, folder: Path, plan: Plan, *, model: str, name: str | None = None) -> str:
    facts = train_from_store(
        store,
        plan,
        TrainingRequest(model=model, folder=str(folder), name=name or model, checkpoints=folder / "checkpoints"),
    )
    return next(fact.uri for fact in facts if isinstance(fact, Saved))


def _ndcg(store: Store, folder: Path, plan: Plan, *, model: str, kind: str) -> NDArray[np.float64]:
    bundle = load_bundle(_train(store, folder, plan, model=model, name=f"{model}-{kind}"))
    data = load_inputs(store, plan).data
    cases = split_by_fold(data).test
    (metrics,) = measure(serving_model(bundle), cases, items=data.items, include_seen=False, names=[model])
    return metrics.ndcg
