"""From lists to a bundle with one list encoder: settings, training, figures on the lists held out."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.encoders.deep_sets import DeepSetsConfig
from models.encoders.set_process import ProcessConfig
from models.encoders.set_transformer import SetTransformerConfig
from models.encoders.sets import SetPooling
from recsys.bundle import Bundle, Part
from recsys.data.playlists import Playlists, split_playlists
from recsys.encoders.base import text_hash
from recsys.errors import InvalidRequest
from recsys.retrieval.lists.encoder import PREFIX
from recsys.training.lists.seq2seq import PlaylistRecipe, train_playlists
from recsys.training.lists.set_encoder import SetRecipe, train_sets
from recsys.training.loop import Epoch
from recsys.training.overrides import overridden
from recsys.training.recipes import Plan, Progress

POOLINGS: dict[str, SetPooling] = {
    "process": ProcessConfig(),
    "deep-sets": DeepSetsConfig(),
    "attention": SetTransformerConfig(),
}
DEFAULT = "attention"
"""What `pooling = ...` in the table of a file may say, and what it is otherwise."""


def list_recipe(name: str, plan: Plan) -> PlaylistRecipe | SetRecipe:
    """The settings of the list encoder `name`: items by id and text, unless the plan's file says otherwise.

    Raises:
        InvalidRequest: a setting that does not exist.
    """
    table = dict(plan.overrides.get(name, {}))
    if name == "playlist-seq2seq":
        recipe: PlaylistRecipe | SetRecipe = PlaylistRecipe(items="hybrid", text_encoder=plan.text_encoder)
    else:
        recipe = SetRecipe(items="hybrid", text_encoder=plan.text_encoder)
        if (kind := table.pop("pooling", DEFAULT)) not in POOLINGS:
            raise InvalidRequest(f"[{name}] pooling={kind!r}: choose one of {', '.join(POOLINGS)}")
        recipe = replace(recipe, encoder=replace(recipe.encoder, pooling=POOLINGS[kind]))
        if table.get("completion") is False:
            del table["completion"]
            recipe = replace(recipe, completion=None)
    recipe = overridden(recipe, table, where=name)
    if plan.epochs:
        recipe = replace(recipe, loop=replace(recipe.loop, epochs=plan.epochs))
    return replace(recipe, text_encoder=None) if recipe.items == "id" else recipe


def list_bundle(
    name: str, lists: Playlists, text: NDArray[np.float32] | None, plan: Plan
) -> Iterator[Progress | Bundle]:
    """Yields progress, and last a one-part bundle. Epochs are chosen on the validation lists; with `plan.deploy`, where
    every list is to fit on, all are run.

    Raises:
        InvalidRequest: a setting that does not exist.
        TrainingError: a run that cannot go on.
    """
    recipe = list_recipe(name, plan)
    folds = split_playlists(lists)
    common: dict[str, Any] = {
        "name": f"{PREFIX}{name}",
        "fit": folds.fit.data,
        "validation": folds.validation.data if len(folds.validation) else None,
        "text": None if recipe.items == "id" else text,
        "seed": plan.seed,
        "device": plan.device,
        "checkpoint": plan.checkpoints / f"{name}-{plan.seed}.ckpt" if plan.checkpoints else None,
        "resume": plan.resume,
    }
    facts = train_playlists(recipe, **common) if isinstance(recipe, PlaylistRecipe) else train_sets(recipe, **common)
    part: Part | None = None
    for fact in facts:
        match fact:
            case Epoch():
                yield Progress(name, _told(fact, events=len(folds.fit.data.rows)))
            case Part():
                part = fact
    assert part is not None
    counts = folds.fit.data.counts()
    left = int(((counts > 0) & (counts < recipe.min_count)).sum())
    yield Progress(
        name,
        f"{part.config['items']:,} items have an id of their own; {left:,} stand in fewer than {recipe.min_count} places",
    )
    about = {k: v for k, v in asdict(plan).items() if k not in ("checkpoints", "resume")}
    about |= {
        "data": {
            "lists": len(lists),
            "items": lists.data.items,
            "events": len(lists.data.rows),
            "hash": lists.data.hash,
        }
    }
    read_by = lists.data.domains or (None,) * lists.data.items
    texts = tuple(text_hash(*read) for read in zip(lists.data.texts, read_by, strict=True))
    yield Bundle(parts={part.name: part}, default=part.name, item_ids=lists.data.item_ids, about=about, texts=texts)


def run_name(lists: Playlists, plan: Plan, name: str) -> str:
    """Names the run: the same lists and settings continue each other's checkpoints."""
    settings = asdict(replace(plan, checkpoints=None, resume=False)) | {"data": lists.data.hash, "model": name}
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _told(epoch: Epoch, *, events: int) -> str:
    figure = "" if epoch.figure is None else f", validation loss {-epoch.figure:.3f} (best: epoch {epoch.best})"
    rate = f"{epoch.seconds:.1f} s, {events / epoch.seconds:,.0f} events/s"
    return f"epoch {epoch.number}, loss {epoch.loss:.3f}{figure}, {rate}"
