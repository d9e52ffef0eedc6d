"""What the learned encoders add to the continuation of lists held out of mpd_popular: the same fusion with minus without them.

Each is first weighed on validation, as `train blend --with` does, where it has to earn its place; then the fusion with both,
whether they earned it or not, is measured beside the one without on the lists held out.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from recsys.bundle import Bundle, Part
from recsys.data.playlists import split_playlists
from recsys.metrics.ranking import Interval, bootstrap, paired, user_means
from recsys.retrieval.lists.continuation import SizeConditionedFusion
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.serving import CONTINUE, ListServingModel, list_serving_model
from recsys.retrieval.registry import Restored, kinds, restore_source
from recsys.retrieval.source import StoredSource
from recsys.training.lists.fusion import fit_continuation
from recsys.training.lists.sources import ListInputs
from recsys.training.plan import Plan
from recsys.training.recipes import RECIPES
from tests.benchmarks.harness import Row
from tests.benchmarks.playlists_continuation import (
    READER,
    SEED,
    SIZES,
    cases,
    continued,
    list_parts,
    model,
    playlists,
)
from tests.benchmarks.playlists_parts import encoder, train_both
from tests.benchmarks.playlists_probes import MPD

SET: dict[str, Any] = {"completion": False, "loop": {"epochs": 8}}
"""As the recipe is, but for what completes sets, and in half the epochs."""
ENCODERS = {"playlist-seq2seq": MPD, "set": SET}


def learned(data: Path) -> Iterator[Row]:
    """The decision on validation for each encoder, what both together change on test, and whether test agrees with what is on."""
    parts = weighed(data)
    on = [name for name in ENCODERS if name in SizeConditionedFusion.from_part(parts[f"{PREFIX}{CONTINUE}"]).sources]
    for name in ENCODERS:
        gain = parts[f"{PREFIX}{name}"].figures["with_minus_without"]
        yield Row(
            what=f"R-precision of continuation, with {name} minus without, validation",
            value={"value": gain["mean"], "low": gain["low"], "high": gain["high"], "on": name in on},
            must="printed",
            holds=True,
            seed=SEED,
            n=len(split_playlists(playlists(data)).validation),
        )
    for size in SIZES:
        without, both = continued(data, model(data), size), continued(data, _with_both(data), size)
        for figure in ("r_precision", "ndcg"):
            more, less = getattr(both, figure), getattr(without, figure)
            gain = paired(more, less)
            yield Row(
                what=f"{figure} of continuation, with seq2seq and set minus without, {size} seeds",
                value=_interval(gain) | {"with": more.mean(), "without": less.mean()},
                must="printed",
                holds=True,
                seed=SEED,
                n=len(more),
            )
    yield _agreed(data, on)


def _agreed(data: Path, on: list[str]) -> Row:
    """What validation let in is what is served: does it raise the R-precision of test lists, over all sizes?"""
    more, less = (
        np.concatenate([continued(data, by, size).r_precision for size in SIZES]) for by in (_served(data), model(data))
    )
    owners = np.concatenate([np.array(cases(data, size).numbers) for size in SIZES])
    gain = bootstrap(user_means(more - less, owners), seed=SEED)
    return Row(
        what="R-precision of continuation as served minus without learned encoders, all sizes",
        value=_interval(gain) | {"on": on},
        must="low > 0 where any is on",
        holds=not on or gain.low > 0,
        seed=SEED,
        n=len(np.unique(owners)),
    )


def _interval(gain: Interval) -> dict[str, float]:
    return {"value": gain.mean, "low": gain.low, "high": gain.high}


@cache
def weighed(data: Path) -> dict[str, Part]:
    """The parts of a blend that was given both encoders."""
    train_both(data, "mpd_popular", ENCODERS)
    return list_parts(
        data,
        encoders={
            f"{PREFIX}{name}": encoder(data, "mpd_popular", name, settings).part(f"{PREFIX}{name}")
            for name, settings in ENCODERS.items()
        },
    )


@cache
def _served(data: Path) -> ListServingModel:
    """As validation decided."""
    item_ids = playlists(data).data.item_ids
    return list_serving_model(Bundle(parts=weighed(data), default=CONTINUE, item_ids=item_ids, about={}))


@cache
def _with_both(data: Path) -> ListServingModel:
    """The served sources and both encoders, under weights that were fitted with both on validation."""
    served, validation = _served(data), split_playlists(playlists(data)).validation
    sources = _sources_before_validation(data) | {name: served.sources[name] for name in ENCODERS}
    return replace(served, fusion=fit_continuation(sources, validation, seed=SEED))


def _sources_before_validation(data: Path) -> dict[str, StoredSource]:
    """The served sources but for the learned encoders, fitted without the validation lists under the settings chosen on these."""
    plan = Plan(text_encoder=READER, include_seen=False, seed=SEED)
    chosen = {part.kind: part for part in weighed(data).values()}
    inputs = ListInputs(lists=split_playlists(playlists(data)).fit, seed=SEED, text_encoder=READER)
    sources, restored = dict[str, StoredSource](), dict[str, Restored]()
    for kind in kinds(lambda can: can.answers == "lists" and can.default_blend and not can.encodes_lists):
        refit = RECIPES[kind].refit
        assert refit is not None
        *_, part = refit(chosen[kind], inputs, plan)
        assert isinstance(part, Part)
        sources[kind.removeprefix("list-")] = restored[kind] = restore_source(part, restored)
    return sources
