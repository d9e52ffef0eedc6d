"""The runs of the peers benchmark: the default blend, and each peer in an environment of its own; each kept once made."""

import json
import os
import re
import resource
import subprocess
import sys
import time
import venv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recsys.data.dataset import Dataset
from recsys.data.splits import split_by_fold
from recsys.evaluation.ranking_eval import measure
from recsys.retrieval.serving import serving_model
from recsys.training.bundling import BLEND, Trained, train_bundle
from tests.benchmarks.harness import ARTIFACTS, ROOT, artifact, say
from tests.benchmarks.signals_data import events_of, filled_with_texts, items_of
from tests.benchmarks.signals_runs import LEARNING, PLAN, load

ENVIRONMENTS: Mapping[str, tuple[str, ...]] = {
    "rectools": ("rectools[torch]==0.19.0", "numpy<2", "torch==2.13.0"),
    "cornac": ("cornac==3.0.1", "similaripy==0.5.0"),
}
"""What each environment installs; its models are in `tests.benchmarks.peers`."""
PEERS = ("tests/benchmarks/peers",)
TRIALS = 20
BUDGET_S = float(os.environ.get("PEERS_BUDGET_S", 1800))
"""CPU seconds that a peer has for its trials on one set."""

Run = dict[str, Any]
"""`ndcg` (users,), and what was chosen and what it cost."""


def blend(data: Path, name: str) -> Run:
    """The default blend on test; to be called in a process of its own, whose costs are its costs."""
    path = artifact("peers blend", name, files=_files(data, name), code=LEARNING)
    if not _is_made(path):
        torch.set_num_threads(1)
        inputs = load(filled_with_texts(*_files(data, name)), PLAN)
        started = _cpu_seconds()
        plan = replace(inputs.plan, checkpoints=path.with_suffix(".checkpoints"), resume=True)
        facts = train_bundle([BLEND], inputs.data, inputs.text, plan, default=BLEND, included={})
        bundle = next(fact for fact in facts if isinstance(fact, Trained)).bundle
        spent, cases = _cpu_seconds() - started, split_by_fold(inputs.data).test
        names = [BLEND]
        (metrics,) = measure(
            serving_model(bundle), cases, items=inputs.data.items, include_seen=plan.include_seen, names=names
        )
        costs = {"cpu_s": spent, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
        about = {"coverage": metrics.coverage, "left_out": list(bundle.about["left_out"])}
        _keep(path, metrics.ndcg, costs | about)
    return _kept(path)


def peer(data: Path, name: str, environment: str, model: str) -> Run:
    """A model of a peer on the same users, tuned within the budget."""
    made_of = ("peer", name, environment, model, ENVIRONMENTS[environment], TRIALS, BUDGET_S)
    path = artifact(*made_of, files=_files(data, name), code=PEERS)
    if not _is_made(path):
        events, out = _events(data, name), path.with_suffix(".lists.npy")
        _run(environment, [model, str(events), str(out)])
        summary, stored = json.loads(out.with_suffix(".json").read_text()), np.load(events)
        lists, test = np.load(out), stored["fold"] == 2
        hit = lists == stored["item"][test][:, None]
        ndcg = np.where(hit.any(1), 1 / np.log2(hit.argmax(1) + 2), 0.0)
        coverage = len(np.unique(lists[lists >= 0])) / int(stored["items"])
        cpu_s = summary["tuning_cpu_s"] + summary["fit_cpu_s"]
        order = np.argsort(stored["names"][stored["user"][test]])  # as `measure` has its users
        _keep(path, ndcg[order], summary | {"coverage": coverage, "cpu_s": cpu_s})
    return _kept(path)


def _run(environment: str, arguments: list[str]) -> None:
    """Tunes a model with one thread."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [str(_python(environment)), "-W", "ignore", "-m", f"tests.benchmarks.peers.{environment}_peers"]
    limits = ["--trials", str(TRIALS), "--budget", str(BUDGET_S)]
    started = time.monotonic()
    subprocess.run([*command, *arguments, *limits], check=True, stdout=sys.stderr, cwd=ROOT, env=os.environ | threads)
    say(f"{arguments[0]} of {environment}: {time.monotonic() - started:.0f} s")


def _python(environment: str) -> Path:
    """The Python of an environment, made once."""
    requirements = ENVIRONMENTS[environment]
    folder = ARTIFACTS / re.sub(r"[^\w.=-]", "", "-".join((environment, *requirements)))
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *requirements], check=True, cwd=ROOT)
        (folder / "ready").touch()
    return python


def _events(data: Path, name: str) -> Path:
    """The events, the folds and the vectors of texts that the blend learns from, as `Events.load` of `peers.study` takes them."""
    path = artifact("peers events", name, files=_files(data, name), code=LEARNING).with_suffix(".npz")
    if not path.exists():
        inputs = load(filled_with_texts(*_files(data, name)), PLAN)
        stored = inputs.data.speaking()
        arrays = _arrays(stored) | {"vectors": inputs.text, "include_seen": np.array(inputs.plan.include_seen)}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **arrays)  # type: ignore[arg-type]  # a stub that allows no names
        partial.replace(path)
    return path


def _arrays(stored: Dataset) -> dict[str, NDArray[Any]]:
    return {
        "user": stored.owners,
        "item": stored.rows.astype(np.int64),
        "session": stored.sessions,
        "fold": stored.folds.astype(np.int64),
        "items": np.array(stored.items),
        "names": np.array(stored.users, dtype=np.str_),
    }


def _files(data: Path, name: str) -> list[Path]:
    return [items_of(data, name), events_of(data, name)]


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _is_made(path: Path) -> bool:
    return path.with_suffix(".run.json").exists()


def _keep(path: Path, ndcg: NDArray[np.float64], about: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({"ndcg": ndcg.tolist(), **about}), encoding="utf-8")
    partial.rename(path.with_suffix(".run.json"))


def _kept(path: Path) -> Run:
    run: Run = json.loads(path.with_suffix(".run.json").read_text(encoding="utf-8"))
    return run | {"ndcg": np.array(run["ndcg"])}
