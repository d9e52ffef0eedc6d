"""What the learned encoders add to the continuation of lists held out of mpd_popular: the same fusion with minus without them.

Each is first weighed on validation, as `train blend --with` does, where it has to earn its place; then the fusion with both,
whether they earned it or not, is measured beside the one without on the lists held out.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from recsys.bundle import Bundle, Part
from recsys.data.playlists import split_playlists
from recsys.metrics.ranking import Interval, bootstrap, paired, user_means
from recsys.retrieval.lists.continuation import SizeConditionedFusion
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.neighbours import ListNeighboursConfig
from recsys.retrieval.lists.serving import CONTINUE, DeployedLists, deploy_lists
from recsys.retrieval.source import Source
from recsys.training.lists.fusion import fit_continuation
from recsys.training.lists.sources import fit_sources, train_list_parts
from recsys.training.recipes import Plan, Progress
from tests.benchmarks.harness import Row, say
from tests.benchmarks.playlists_continuation import READER, SEED, SIZES, cases, continued, deployed, read
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
            n=len(split_playlists(read(data)).validation),
        )
    for size in SIZES:
        without, both = continued(data, deployed(data), size), continued(data, _with_both(data), size)
        for figure in ("r_precision", "ndcg"):
            own, less = getattr(both, figure), getattr(without, figure)
            gain = paired(own, less)
            yield Row(
                what=f"{figure} of continuation, with seq2seq and set minus without, {size} seeds",
                value=_told(gain) | {"with": own.mean(), "without": less.mean()},
                must="printed",
                holds=True,
                seed=SEED,
                n=len(own),
            )
    yield _agreed(data, on)


def _agreed(data: Path, on: list[str]) -> Row:
    """What validation let in is what is served: does it raise the R-precision of test lists, over all sizes?"""
    by = _served(data)
    own, less = (
        np.concatenate([continued(data, one, size).r_precision for size in SIZES]) for one in (by, deployed(data))
    )
    owners = np.concatenate([np.array(cases(data, size).numbers) for size in SIZES])
    gain = bootstrap(user_means(own - less, owners), seed=SEED)
    return Row(
        what="R-precision of continuation as served minus without learned encoders, all sizes",
        value=_told(gain) | {"on": on},
        must="low > 0 where any is on",
        holds=not on or gain.low > 0,
        seed=SEED,
        n=len(np.unique(owners)),
    )


def _told(gain: Interval) -> dict[str, float]:
    return {"value": gain.mean, "low": gain.low, "high": gain.high}


@cache
def weighed(data: Path) -> dict[str, Part]:
    """The parts of a blend that was given both encoders."""
    train_both(data, "mpd_popular", ENCODERS)
    given = {
        f"{PREFIX}{name}": encoder(data, "mpd_popular", name, own).part(f"{PREFIX}{name}")
        for name, own in ENCODERS.items()
    }
    found = dict[str, Part]()
    for fact in train_list_parts(read(data), Plan(text_encoder=READER, include_seen=False, seed=SEED), given=given):
        match fact:
            case Progress():
                say(f"{fact.part}: {fact.fact}")
            case dict():
                found = fact
    return found


@cache
def _served(data: Path) -> DeployedLists:
    """As validation decided."""
    item_ids = read(data).data.item_ids
    return deploy_lists(Bundle(parts=weighed(data), default=CONTINUE, item_ids=item_ids, about={}))


@cache
def _with_both(data: Path) -> DeployedLists:
    """The served sources and both encoders, under weights that were fitted with both on validation."""
    served, folds = _served(data), split_playlists(read(data))
    chosen = ListNeighboursConfig(**weighed(data)[f"{PREFIX}neighbours"].config)
    early: dict[str, Source] = dict(fit_sources(folds.fit, chosen, seed=SEED, text_encoder=READER))
    fusion = fit_continuation(early | {name: served.sources[name] for name in ENCODERS}, folds.validation, seed=SEED)
    return DeployedLists(served.encoders, served.sources, fusion)
