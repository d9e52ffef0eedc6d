"""What signals cost, and what a store that goes on living does to an evaluation."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recsys.store import Store
from recsys.store.records import EventDraft
from recsys.training.job import Saved, TrainingRequest, train_from_store
from tests.benchmarks.benchmark_foundation import quickstart
from tests.benchmarks.harness import ROOT, Row, artifact, at_most, checkout, say
from tests.benchmarks.signals_data import events_of, filled_with_texts, items_of, written
from tests.benchmarks.signals_runs import LEARNING, PLAN
from tests.benchmarks.signals_stores import SHOP_SEED, shop

COST_SET = "amazon_games"
MAX_RATIO = {"with refit": 1.6, "--no-refit": 1.1}
MAX_GIGABYTES = 3.0
EVENTS_A_SECOND = 10


def living(_: Path) -> Iterator[Row]:
    """`recsys evaluate` while events arrive, and on a copy that was frozen before."""
    with tempfile.TemporaryDirectory() as folder:
        live, uri = _trained_shop(Path(folder))
        frozen = Path(folder) / "frozen.db"
        shutil.copy(live, frozen)
        ended, written_events = threading.Event(), list[str]()
        writer = threading.Thread(target=_write_events, args=(f"sqlite:///{live}", ended, written_events))
        writer.start()
        try:
            now = _evaluated(live, uri, Path(folder) / "live")
        finally:
            ended.set()
            writer.join()
        then = _evaluated(frozen, uri, Path(folder) / "frozen")
    yield Row(
        what=f"recsys evaluate while {EVENTS_A_SECOND} events a second arrive: completes, with the figures of a frozen copy",
        value={"completes": bool(now), "same figures": now == then, "events meanwhile": len(written_events)},
        must="both",
        holds=bool(now) and now == then,
        seed=SHOP_SEED,
        n=len(written_events),
    )


def cost(data: Path, base: str) -> Iterator[Row]:
    """Processor time of `recsys train blend`, text vectors stored before, against `base`, one after the other; peak memory."""
    runs = dict[str, dict[str, float]]()
    with checkout(base) as tree:
        runs["before"] = _cost(tree, data, [])
        for name, options in (("--no-refit", ["--no-refit"]), ("with refit", [])):
            runs[name] = _cost(ROOT, data, options)
    before = runs["before"]["cpu"]
    for name, bound in MAX_RATIO.items():
        ratio = runs[name]["cpu"] / before
        what = f"processor time of train blend {COST_SET}, {name}, now over before"
        yield at_most(what, ratio, bound, seed=0, n=1, seconds=runs[name]["cpu"], seconds_before=before)
    peak = max(run["gigabytes"] for name, run in runs.items() if name != "before")
    what = f"peak memory of train blend {COST_SET}, GB"
    yield at_most(what, peak, MAX_GIGABYTES, seed=0, n=1, before=runs["before"]["gigabytes"])


def _cost(tree: Path, data: Path, options: list[str]) -> dict[str, float]:
    """Seconds of processor time and peak memory of one training by the code in `tree`; kept once measured."""
    files = [items_of(data, COST_SET), events_of(data, COST_SET)]
    path = artifact("signals cost", options, files=files, code=["recsys", "models", "features"], tree=tree)
    path = path.with_suffix(".json")
    if not path.exists():
        with tempfile.TemporaryDirectory() as folder:
            environment = _environment(tree, Path(folder) / "recsys.db")
            for command in (["db", "upgrade"], ["import", "items", str(files[0])], ["import", "events", str(files[1])]):
                _recsys(command, tree, environment)
            _recsys(["train", "popular"], tree, environment)  # encodes the texts
            measured = _recsys(["train", "blend", *options], tree, environment)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(measured), encoding="utf-8")
        say(f"{tree}, train blend {options}: {measured}")
    run: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return run


def _environment(tree: Path, database: Path) -> dict[str, str]:
    """Of a command by the code in `tree`; what it writes lies beside the database."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    folders = {f"RECSYS_{name.upper()}": str(database.parent / name) for name in ("bundles", "checkpoints", "indexes")}
    return {**os.environ, **threads, **folders, "PYTHONPATH": str(tree), "RECSYS_DATABASE_URL": f"sqlite:///{database}"}


def _recsys(arguments: list[str], tree: Path, environment: dict[str, str]) -> dict[str, float]:
    """Runs a command to its end: seconds of processor time and gigabytes of its process."""
    command = [sys.executable, "-c", "from recsys.cli import app; app()", *arguments]
    process = subprocess.Popen(command, cwd=tree, env=environment, stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"recsys {' '.join(arguments)} ended with status {process.returncode}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "gigabytes": usage.ru_maxrss / 2**20}


def _trained_shop(folder: Path) -> tuple[Path, str]:
    """A store of the invented shop with its evaluation bundle, and the bundle's URI."""
    log = shop(SHOP_SEED, wrong=0.0)
    items, events = written(f"shop-{SHOP_SEED}-items", log.items), written(f"shop-{SHOP_SEED}-events", log.events)
    filled = filled_with_texts(items, events)
    kept = artifact("signals shop", files=[items, events], code=[*LEARNING, "tests/benchmarks/signals_living.py"])
    if not (kept / "ready").exists():
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        shutil.copy(filled.removeprefix("sqlite:///"), kept / "recsys.db")
        store = Store.open(f"sqlite:///{kept}/recsys.db")
        request = TrainingRequest(model="blend", folder=str(kept), name="shop", checkpoints=kept, refit=False)
        assert any(isinstance(fact, Saved) for fact in train_from_store(store, PLAN, request))
        store.close()
        (kept / "ready").touch()
    shutil.copy(kept / "recsys.db", folder / "live.db")
    shutil.copytree(kept / "shop", folder / "shop")
    return folder / "live.db", str(folder / "shop")


def _evaluated(database: Path, uri: str, out: Path) -> Any:
    """The report of `recsys evaluate` without where it was made; None where the command fails."""
    command = ["evaluate", "--bundle", uri, "--out", str(out)]
    try:
        _recsys(command, ROOT, _environment(ROOT, database))
    except RuntimeError as error:
        say(str(error))
        return None
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


def _write_events(url: str, ended: threading.Event, written_events: list[str]) -> None:
    """Writes events of new and old users, until it has `ended`."""
    store, started = Store.open(url), time.monotonic()
    while not ended.wait(max(0.0, started + len(written_events) / EVENTS_A_SECOND - time.monotonic())):
        number = len(written_events)
        draft = EventDraft(user_id=f"u{number % 450:03d}", item_id=f"i{number * 7 % 300:03d}", kind="like")
        written_events.extend(event.event_id for event in store.add_events([draft]))
    store.close()


BENCHES = {"living": living, "quickstart": quickstart}
COMPARISONS = {"cost": cost}
