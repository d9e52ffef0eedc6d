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


def encoder(data: Path, name: str, model: str, settings: Mapping[str, Any], *, seed: int = 0) -> Learned:
    """The encoder `model` trained on the lists of the set `name` that are not held out."""
    kept = _place(data, name, model, settings, seed)
    if not (kept / "bundle").exists():
        _train(data, name, model, settings, seed, resume=True)
    restored = restore_encoder(load_bundle(str(kept / "bundle")).part(f"{PREFIX}{model}"))
    assert isinstance(restored, Learned)
    return restored


def cost(data: Path, name: str, model: str, settings: Mapping[str, Any], *, seed: int = 0) -> dict[str, float]:
    """Seconds and peak GiB of training it now, from nothing, texts included, on one thread of a process of its own."""
    shutil.rmtree(_place(data, name, model, settings, seed), ignore_errors=True)
    (spent,) = in_two_workers(_train, [(data, name, model, settings, seed)])
    return dict(spent)


def _place(data: Path, name: str, model: str, settings: Mapping[str, Any], seed: int) -> Path:
    return place("playlists", name, model, json.dumps(settings, sort_keys=True), seed, files=files(data, name))


def _train(
    data: Path, name: str, model: str, settings: Mapping[str, Any], seed: int, *, resume: bool = False
) -> dict[str, float]:
    """Leaves the bundle in its place, and says what it took. With `resume` what an earlier run has made is taken."""
    kept = _place(data, name, model, settings, seed)
    found = lists(data, name)
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
    return {"seconds": time.monotonic() - started, "gib": peak_megabytes() / 1024}


def _texts(data: Path, name: str, *, again: bool) -> NDArray[np.float32]:
    kept = place("texts", READER, files=files(data, name)).with_suffix(".npy")
    if again or not kept.exists():
        read = text_encoder(READER).encode(lists(data, name).data.texts)
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, read)
    return np.asarray(np.load(kept))
