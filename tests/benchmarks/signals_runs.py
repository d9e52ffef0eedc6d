"""The trainings of the signals benchmark: parts, blends with and without what is new, answers; each kept once made.

Each part is kept by itself, so that a run that was ended goes on with the next one.
"""

import json
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from recsys.bundle import Bundle
from recsys.bundle_io import load_bundle, read_manifest, save_bundle
from recsys.data.build import Holdout
from recsys.data.feedback import Signals
from recsys.data.splits import EvalCases, split_by_fold
from recsys.errors import TrainingError
from recsys.evaluation.ranking_eval import measure
from recsys.retrieval.serving import serving_model
from recsys.service import Options, Recommender
from recsys.service.items.questions import Answer, Question
from recsys.signals import SignalTable
from recsys.store import Store
from recsys.training.bundling import BLEND, Trained, default_parts, train_bundle
from recsys.training.inputs import TrainingInputs, load_inputs
from recsys.training.plan import Plan
from recsys.training.recipe_types import TwoStageFit
from tests.benchmarks.harness import artifact, say
from tests.benchmarks.signals_data import ENCODER, filled_with_texts

PLAN = Plan(text_encoder=ENCODER, include_seen=False)
LEARNING = (
    "recsys/data",
    "recsys/encoders",
    "recsys/evaluation",
    "recsys/indexes",
    "recsys/metrics",
    "recsys/ranking",
    "recsys/retrieval",
    "recsys/training",
    "recsys/signals.py",
    "models",
    "features",
    "tests/benchmarks/signals_runs.py",
)
"""The code that a training and its figures depend on."""
SERVING = (*LEARNING, "recsys/service")
MAX_CASES = 4000
"""Test cases that are ranked: a temporal holdout has many of each user."""

Users = dict[str, NDArray[np.float64]]
"""NDCG@10 of each part, user by user."""


def compared(items: Path, events: Path, protocol: Holdout) -> Users:
    """The default blend, its parts, and `without`: the same blend without what comes again and without sessions.

    `blend, repeats` and `blend, new` (and of `without`) are over the targets that were in the history, and the others;
    `blend, no session` is asked without the session of the target.
    """
    path = artifact("signals blend", protocol, MAX_CASES, files=[items, events], code=LEARNING).with_suffix(".npz")
    if not path.exists():
        inputs = load(filled_with_texts(items, events), replace(PLAN, protocol=protocol))
        parts = fitted(inputs, files=[items, events])
        blend = trained(inputs, [BLEND], included=parts)
        old_parts = default_parts(include_seen=False)
        apart = replace(inputs, data=replace(inputs.data, sessions=np.arange(len(inputs.data.rows))))
        included = {name: parts[name] for name in old_parts if name in parts}
        without = trained(apart, old_parts, included=included)
        cases = split_by_fold(inputs.data).test.sample(MAX_CASES, seed=0)
        save(path, _figures(inputs, blend, without, cases))
    return dict(np.load(path))


def load(url: str, plan: Plan, *, include_seen: bool | None = None) -> TrainingInputs:
    """The inputs of a training on the store at `url`."""
    store = Store.open(url)
    try:
        return load_inputs(store, plan, include_seen=include_seen)
    finally:
        store.close()


def fitted(inputs: TrainingInputs, *, files: Iterable[Path]) -> dict[str, TwoStageFit]:
    """The parts of the default blend, without those that the data do not allow."""
    made_of = (inputs.plan.protocol, inputs.plan.include_seen, inputs.plan.signals)
    folder, fits = artifact("signals parts", *made_of, files=files, code=LEARNING), dict[str, TwoStageFit]()
    plan = replace(inputs.plan, checkpoints=folder / "checkpoints", resume=True)
    for name in default_parts(include_seen=inputs.plan.include_seen):
        whole, started = folder / name, time.monotonic()
        if not whole.exists():
            shutil.rmtree(partial := folder / f"{name}.partial", ignore_errors=True)
            facts = train_bundle([name], inputs.data, inputs.text, plan, default=name)
            try:
                made = next(fact for fact in facts if isinstance(fact, Trained))
            except TrainingError as error:
                say(f"{name}: {error}")
                continue
            uri = save_bundle(made.bundle, str(folder), name=partial.name)
            save_bundle(replace(made.bundle, parts=made.selection), uri, name="selection")
            partial.rename(whole)
            say(f"{name}: {time.monotonic() - started:.0f} s")
        refit, selection = load_bundle(str(whole)), load_bundle(str(whole / "selection"))
        fits[name] = TwoStageFit(selection.part(name), refit.part(name))
    return fits


def trained(inputs: TrainingInputs, names: Sequence[str], *, included: dict[str, TwoStageFit]) -> Bundle:
    """A bundle with the parts `names` and their blend, trained with one thread as the command does."""
    torch.set_num_threads(1)
    facts = train_bundle(names, inputs.data, inputs.text, inputs.plan, default=BLEND, included=included)
    bundle = next(fact for fact in facts if isinstance(fact, Trained)).bundle
    say(f"include_seen={inputs.plan.include_seen}, {inputs.seen_rule}; left out: {bundle.about['left_out']}")
    return bundle


def figures(bundle: Bundle, inputs: TrainingInputs, cases: EvalCases, names: Iterable[str]) -> Users:
    """NDCG@10 of the parts `names` over `cases`."""
    items, include_seen = inputs.data.items, inputs.plan.include_seen
    measured = measure(serving_model(bundle), cases, items=items, include_seen=include_seen, names=names)
    return {metrics.name: metrics.ndcg for metrics in measured}


def answers(items: Path, events: Path, table: SignalTable, *, k: int, old: bool = False) -> dict[str, list[str]]:
    """The `k` best items for each user, as the service gives them from a blend that counts events by `table`.

    With `old` items of the history may be answers, whatever validation says, and no part is for repeats alone.
    """
    path = artifact("signals answers", table, k, old, files=[items, events], code=SERVING).with_suffix(".json")
    if not path.exists():
        url = filled_with_texts(items, events)
        plan = replace(PLAN, signals=Signals(table=table))
        inputs = load(url, plan, include_seen=True if old else None)
        bundle = trained(inputs, default_parts(include_seen=False) if old else [BLEND], included={})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_served(url, bundle, folder=path.with_suffix(""), k=k)), encoding="utf-8")
    answered: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
    return answered


def _served(url: str, bundle: Bundle, *, folder: Path, k: int) -> dict[str, list[str]]:
    shutil.rmtree(folder, ignore_errors=True)
    store = Store.open(url)
    uri = save_bundle(bundle, str(folder), name="bundle")
    store.add_bundle(uri, read_manifest(uri))
    recommender = Recommender(store, bundle=uri)
    users = store.users(limit=100_000)
    given = recommender.answer([Question(user_id=user, options=Options(k=k)) for user in users])
    recommender.close()
    store.close()
    shutil.rmtree(folder)
    assert all(isinstance(answer, Answer) for answer in given), given[:3]
    by_user = zip(users, given, strict=True)
    return {user: [item.item_id for item in answer.items] for user, answer in by_user if isinstance(answer, Answer)}


def _figures(inputs: TrainingInputs, blend: Bundle, without: Bundle, cases: EvalCases) -> Users:
    apart = cases.without_sessions()
    out = figures(blend, inputs, cases, [name for name in blend.parts if name != "plain-blend"])
    out["blend, no session"] = figures(blend, inputs, apart, [BLEND])[BLEND]
    out["without"] = figures(without, inputs, apart, [BLEND])[BLEND]
    for label, numbers in (("repeats", np.flatnonzero(cases.repeats)), ("new", np.flatnonzero(~cases.repeats))):
        if len(numbers):
            out[f"blend, {label}"] = figures(blend, inputs, cases[numbers], [BLEND])[BLEND]
            out[f"without, {label}"] = figures(without, inputs, apart[numbers], [BLEND])[BLEND]
    return out | {"share of repeats": np.array([cases.repeats.mean()]), "cases": np.array([float(len(cases))])}


def save(path: Path, users: Users) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **users)  # type: ignore[arg-type]  # a stub that allows no names
    partial.replace(path)
