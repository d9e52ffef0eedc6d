"""The list encoders that the playlist benchmark measures, each trained once and kept."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from recsys.bundle_io import load_bundle, save_bundle
from recsys.encoders.resolve import text_encoder
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.seq2seq import Seq2seqListEncoder
from recsys.retrieval.lists.sets import SetListEncoder
from recsys.retrieval.registry import restore_encoder
from recsys.training.bundling import Trained, one_part_bundle
from recsys.training.lists.encoders import EncoderInputs
from recsys.training.plan import Plan, Progress
from recsys.training.recipes import RECIPES
from tests.benchmarks.harness import artifact, in_two_workers, peak_megabytes, say
from tests.benchmarks.playlists_data import files, lists

READER = "hashed"
"""What reads items: letters alone, in half a minute; the headline run is measured with the packaged encoder as well."""

Learned = Seq2seqListEncoder | SetListEncoder


def encoder(
    data: Path, name: str, model: str, settings: Mapping[str, Any], *, seed: int = 0, split: int = 0
) -> Learned:
    """The encoder `model` trained on the lists of the set `name` that the seed `split` does not hold out."""
    folder = _ready(data, name, model, settings, seed, split)
    restored = restore_encoder(load_bundle(str(folder / "bundle")).part(f"{PREFIX}{model}"))
    assert isinstance(restored, Learned)
    return restored


def train_both(data: Path, name: str, models: Mapping[str, Mapping[str, Any]]) -> None:
    """Leaves an encoder of each of `models` with its settings in its place, two at a time."""
    jobs = [(data, name, model, settings, 0, 0) for model, settings in models.items()]
    for _ in in_two_workers(_ready, jobs):
        pass


def cost(data: Path, name: str, model: str, settings: Mapping[str, Any], *, reader: str) -> dict[str, float]:
    """Seconds by the clock and of the processor, and peak GiB, of training it now: from nothing, texts included, on one thread of
    a process of its own."""
    (spent,) = in_two_workers(_measured, [(data, name, model, settings, reader)])
    return dict(spent)


def _measured(data: Path, name: str, model: str, settings: Mapping[str, Any], reader: str) -> dict[str, float]:
    with TemporaryDirectory() as folder:
        started = time.monotonic()
        _train(data, name, model, settings, Path(folder), reader=reader)
        took = time.monotonic() - started
    return {"seconds": took, "cpu_seconds": time.process_time(), "gib": peak_megabytes() / 1024}


def _ready(data: Path, name: str, model: str, settings: Mapping[str, Any], seed: int, split: int) -> Path:
    made_of = ("playlists", name, model, json.dumps(settings, sort_keys=True), seed, split, READER)
    folder = artifact(*made_of, files=files(data, name))
    if not (folder / "bundle").exists():
        _train(data, name, model, settings, folder, seed=seed, split=split)
    return folder


def _train(
    data: Path,
    name: str,
    model: str,
    settings: Mapping[str, Any],
    folder: Path,
    *,
    seed: int = 0,
    split: int = 0,
    reader: str = READER,
) -> None:
    """Leaves the bundle in `folder`; an interrupted run goes on."""
    playlists = lists(data, name, split=split)
    plan = Plan(
        text_encoder=reader,
        include_seen=False,
        seed=seed,
        overrides={model: settings},
        checkpoints=folder,
        resume=True,
    )
    own_settings = RECIPES[model].settings
    reads_texts = own_settings is not None and own_settings(model, plan).items != "id"
    text = text_encoder(reader).encode_documents(playlists.data.texts) if reads_texts else None
    for fact in one_part_bundle(model, EncoderInputs(lists=playlists, text=text), plan):
        match fact:
            case Progress():
                say(f"{name} {model}: {fact.fact}")
            case Trained():
                save_bundle(fact.bundle, str(folder), name="bundle")
