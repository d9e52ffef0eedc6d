"""The list encoders that the playlist benchmark measures, each trained once and kept, with the time that it took."""

import json
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recsys.bundle import Bundle, load_bundle, save_bundle
from recsys.data.texts import HashedNgrams
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.parts import restore_encoder
from recsys.retrieval.lists.seq2seq import Seq2seqLists
from recsys.retrieval.lists.sets import SetLists
from recsys.training.list_job import list_bundle, list_recipe
from recsys.training.recipes import Plan
from tests.benchmarks.harness import place, say
from tests.benchmarks.playlists_data import files, lists

Learned = Seq2seqLists | SetLists


def encoder(data: Path, name: str, model: str, settings: Mapping[str, Any], *, seed: int = 0) -> Learned:
    """The encoder `model` trained on the lists of the set `name` that are not held out."""
    part = load_bundle(str(_kept(data, name, model, settings, seed) / "bundle")).part(f"{PREFIX}{model}")
    restored = restore_encoder(part)
    assert isinstance(restored, Learned)
    return restored


def cost(data: Path, name: str, model: str, settings: Mapping[str, Any], *, seed: int = 0) -> dict[str, float]:
    """Seconds and peak GiB of its training, texts included."""
    found: dict[str, float] = json.loads((_kept(data, name, model, settings, seed) / "cost.json").read_text())
    return found


def _kept(data: Path, name: str, model: str, settings: Mapping[str, Any], seed: int) -> Path:
    kept = place("playlists", name, model, json.dumps(settings, sort_keys=True), seed, files=files(data, name))
    if (kept / "cost.json").exists():
        return kept
    found = lists(data, name)
    plan = Plan(
        text_encoder="hashed", include_seen=False, seed=seed, overrides={model: settings}, checkpoints=kept, resume=True
    )
    started = time.monotonic()
    text = None if list_recipe(model, plan).items == "id" else HashedNgrams().encode(found.data.texts)
    for fact in list_bundle(model, found, text, plan):
        if isinstance(fact, Bundle):
            save_bundle(fact, str(kept), name="bundle")
        else:
            say(f"{name} {model}: {fact.fact}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    (kept / "cost.json").write_text(json.dumps({"seconds": time.monotonic() - started, "gib": peak}))
    return kept
