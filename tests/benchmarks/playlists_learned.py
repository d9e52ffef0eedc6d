"""What the learned encoders add to the continuation of lists held out of mpd_popular: the same fusion with minus without them.

Each is first weighed on validation, as `train blend --with` does, where it has to earn its place; then the fusion with both,
whether they earned it or not, is measured beside the one without on the lists held out.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from recsys.bundle import Bundle, Part
from recsys.data.playlists import split_playlists
from recsys.evaluation.metrics import paired
from recsys.retrieval.lists.continuation import Continuation
from recsys.retrieval.lists.deployed import CONTINUE, DeployedLists, deploy_lists
from recsys.retrieval.lists.encoder import PREFIX
from recsys.retrieval.lists.neighbours import ListNeighboursConfig
from recsys.retrieval.source import Source
from recsys.training.list_fusion import fit_continuation
from recsys.training.list_sources import fit_sources, train_list_parts
from recsys.training.recipes import Plan, Progress
from tests.benchmarks.harness import Row, say
from tests.benchmarks.playlists_continuation import READER, SEED, SIZES, continued, deployed, read
from tests.benchmarks.playlists_parts import encoder
from tests.benchmarks.playlists_probes import MPD

SET: dict[str, Any] = {"items": "id", "loop": {"epochs": 10}, "completion": False}
ENCODERS = {"playlist-seq2seq": MPD, "set": SET}


def learned(data: Path) -> Iterator[Row]:
    """The decision on validation for each encoder, and what both together change on test."""
    parts = _weighed(data)
    fusion = Continuation.from_part(parts[f"{PREFIX}{CONTINUE}"])
    for name in ENCODERS:
        gain = parts[f"{PREFIX}{name}"].figures["with_minus_without"]
        yield Row(
            what=f"R-precision of continuation, with {name} minus without, validation",
            value={"value": gain["mean"], "low": gain["low"], "high": gain["high"], "on": name in fusion.sources},
            must="on by default only if low > 0",
            holds=(name in fusion.sources) == (gain["low"] > 0),
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
                value={
                    "value": gain.mean,
                    "low": gain.low,
                    "high": gain.high,
                    "with": own.mean(),
                    "without": less.mean(),
                },
                must="printed",
                holds=True,
                seed=SEED,
                n=len(own),
            )


@cache
def _weighed(data: Path) -> dict[str, Part]:
    """The parts of a blend that was given both encoders."""
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
def _with_both(data: Path) -> DeployedLists:
    """The served sources and both encoders, under weights that were fitted with both on validation."""
    parts = _weighed(data)
    bundle = Bundle(parts=parts, default=CONTINUE, item_ids=read(data).data.item_ids, about={})
    served = deploy_lists(bundle)
    folds = split_playlists(read(data))
    chosen = ListNeighboursConfig(**parts[f"{PREFIX}neighbours"].config)
    early: dict[str, Source] = dict(fit_sources(folds.fit, chosen, seed=SEED, text_encoder=READER))
    fusion = fit_continuation(early | {name: served.sources[name] for name in ENCODERS}, folds.validation, seed=SEED)
    return DeployedLists(served.encoders, served.sources, fusion)
