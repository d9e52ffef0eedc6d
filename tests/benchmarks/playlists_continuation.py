"""What continues lists held out of mpd_popular: the served fusion beside each of its sources, same lists, paired."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from recsys.bundle import Bundle
from recsys.data.continuation_cases import ContinuationCases, continuation_cases
from recsys.data.playlists import Playlists, split_playlists, with_names_read
from recsys.encoders.resolve import text_encoder
from recsys.metrics.continuation import LISTED, Figures, figures
from recsys.metrics.ranking import paired
from recsys.retrieval.lists.serving import CONTINUE, DeployedLists, deploy_lists
from recsys.training.lists.fusion import list_queries
from recsys.training.lists.sources import train_list_parts
from recsys.training.recipes import Plan, Progress
from tests.benchmarks.harness import Row, at_least, say
from tests.benchmarks.playlists_data import lists

SEED = 0
READER = "auto"
"""What reads the names of lists: the packaged encoder, as without any setting."""
SIZES = (1, 5, 10, 25)
SIMPLE = ("popular", "item-neighbours", "markov", "als")


@cache
def read(data: Path) -> Playlists:
    """The lists, and what the default text encoder reads in their names."""
    return with_names_read(lists(data, "mpd_popular"), text_encoder(READER).encode)


@cache
def deployed(data: Path) -> DeployedLists:
    """The parts of a bundle, fitted without the lists held out."""
    found = read(data)
    for fact in train_list_parts(found, Plan(text_encoder=READER, include_seen=False, seed=SEED)):
        match fact:
            case Progress():
                say(f"{fact.part}: {fact.fact}")
            case dict():
                bundle = Bundle(parts=fact, default=CONTINUE, item_ids=found.data.item_ids, about={})
    return deploy_lists(bundle)


def continuation(data: Path) -> Iterator[Row]:
    """First items shown: against neighbour lists, and against the best of four simple sources."""
    for size in SIZES:
        ours = continued(data, deployed(data), size)
        others = {part: continued(data, deployed(data), size, part=part) for part in ("neighbours", *SIMPLE)}
        for name in ("r_precision", "ndcg"):
            own, near = getattr(ours, name), getattr(others["neighbours"], name)
            gain = paired(own, near)
            yield Row(
                what=f"{name} of continuation against neighbour lists, {size} seeds",
                value={"ratio": own.mean() / near.mean(), "ours": own.mean(), "theirs": near.mean(), "gain": str(gain)},
                must=">= 1.05, low > 0",
                holds=bool(own.mean() >= 1.05 * near.mean() and gain.low > 0),
                seed=SEED,
                n=len(own),
            )
            best = max(SIMPLE, key=lambda part: float(getattr(others[part], name).mean()))
            theirs = float(getattr(others[best], name).mean())
            yield at_least(
                f"{name} of continuation against the best simple source, {size} seeds",
                float(own.mean()) / theirs,
                1.15,
                seed=SEED,
                n=len(own),
                best=best,
                theirs=theirs,
            )


def names(data: Path) -> Iterator[Row]:
    """The name alone, against popular items."""
    ours, popular = (continued(data, deployed(data), 0, part=part).r_precision for part in (CONTINUE, "popular"))
    ratio = float(np.mean(ours) / np.mean(popular))
    yield at_least("R-precision of a name alone against popular", ratio, 3, seed=SEED, n=len(ours), ours=np.mean(ours))


def cases(data: Path, size: int) -> ContinuationCases:
    """The lists held out, of which the first `size` items are shown."""
    return continuation_cases(split_playlists(read(data)).test, seeds=size, order="sensitive", seed=SEED)


def continued(data: Path, by: DeployedLists, size: int, *, part: str = CONTINUE) -> Figures:
    """Of each list held out whose first `size` items `part` of the bundle continues."""
    found = cases(data, size)
    queries = list_queries(found, items=read(data).data.items)
    rows = by.search(queries, k=LISTED, encoder=part, order="sensitive")[0].rows
    return figures(rows, found.withheld)
