"""The list encoders that the playlist benchmark measures, each trained once and kept."""

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.bundle import Bundle, load_bundle, save_bundle
from recsys.data.texts import text_encoder
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.parts import restore_encoder
from recsys.retrieval.lists.seq2seq import Seq2seqLists
from recsys.retrieval.lists.sets import SetLists
from recsys.training.list_job import list_bundle, list_recipe
from recsys.training.recipes import Plan
from tests.benchmarks.harness import in_two_workers, peak_megabytes, place, say
from tests.benchmarks.playlists_data import files, lists

READER = "auto"
"""What reads texts: the packaged encoder, as without any setting."""

Learned = Seq2seqLists | SetLists


def encoder(
    data: Path, name: str, model: str, settings: Mapping[str, Any], *, seed: int = 0, split: int = 0
) -> Learned:
    """The encoder `model` trained on the lists of the set `name` that the seed `split` does not hold out."""
    kept = _ready(data, name, model, settings, seed, split)
    restored = restore_encoder(load_bundle(str(kept / "bundle")).part(f"{PREFIX}{model}"))
    assert isinstance(restored, Learned)
    return restored


def train_both(data: Path, name: str, models: Mapping[str, Mapping[str, Any]]) -> None:
    """Leaves an encoder of each of `models` with its settings in its place, two at a time."""
    jobs = [(data, name, model, settings, 0, 0) for model, settings in models.items()]
    for _ in in_two_workers(_ready, jobs):
        pass


def cost(data: Path, name: str, model: str, settings: Mapping[str, Any], *, seed: int = 0) -> dict[str, float]:
    """Seconds by the clock and of the processor, and peak GiB, of training it now: from nothing, texts included, on one thread of
    a process of its own."""
    shutil.rmtree(_place(data, name, model, settings, seed, 0), ignore_errors=True)
    (spent,) = in_two_workers(_train, [(data, name, model, settings, seed, 0)])
    return dict(spent)


def _place(data: Path, name: str, model: str, settings: Mapping[str, Any], seed: int, split: int) -> Path:
    made_of = ("playlists", name, model, json.dumps(settings, sort_keys=True), seed, *[split] * (split > 0))
    return place(*made_of, files=files(data, name))


def _ready(data: Path, name: str, model: str, settings: Mapping[str, Any], seed: int, split: int) -> Path:
    kept = _place(data, name, model, settings, seed, split)
    if not (kept / "bundle").exists():
        _train(data, name, model, settings, seed, split, resume=True)
    return kept


def _train(
    data: Path, name: str, model: str, settings: Mapping[str, Any], seed: int, split: int, *, resume: bool = False
) -> dict[str, float]:
    """Leaves the bundle in its place, and says what it took. With `resume` what an earlier run has made is taken."""
    kept = _place(data, name, model, settings, seed, split)
    found = lists(data, name, split=split)
    plan = Plan(
        text_encoder=READER,
        include_seen=False,
        seed=seed,
        overrides={model: settings},
        checkpoints=kept,
        resume=resume,
    )
    started = time.monotonic()
    text = None
    if list_recipe(model, plan).items != "id":
        text = _texts(data, name, again=not resume)
        say(f"{name} {model}: texts read in {time.monotonic() - started:.0f} s")
    for fact in list_bundle(model, found, text, plan):
        if isinstance(fact, Bundle):
            save_bundle(fact, str(kept), name="bundle")
        else:
            say(f"{name} {model}: {fact.fact}")
    spent = {"seconds": time.monotonic() - started, "cpu_seconds": time.process_time()}
    return spent | {"gib": peak_megabytes() / 1024}


def _texts(data: Path, name: str, *, again: bool) -> NDArray[np.float32]:
    kept = place("texts", READER, files=files(data, name)).with_suffix(".npy")
    if again or not kept.exists():
        read = text_encoder(READER).encode(lists(data, name).data.texts)
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, read)
    return np.asarray(np.load(kept))
