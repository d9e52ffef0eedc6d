"""What continues lists held out of mpd_popular: the served fusion beside each of its sources, same lists, paired."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np

from recsys.bundle import Bundle, Part
from recsys.data.continuation_cases import ContinuationCases, continuation_cases
from recsys.data.playlists import Playlists, split_playlists, with_name_vectors
from recsys.encoders.resolve import text_encoder
from recsys.metrics.continuation import CUTOFF, Figures, figures
from recsys.metrics.ranking import paired
from recsys.ranking import pipeline
from recsys.ranking.pipeline import RankingOptions
from recsys.retrieval.lists.serving import CONTINUE, ListServingModel, list_serving_model
from recsys.training.lists.blend import train_list_parts
from recsys.training.lists.fusion import list_queries
from recsys.training.plan import Plan, Progress
from tests.benchmarks.harness import Row, at_least, say
from tests.benchmarks.playlists_data import lists

SEED = 0
READER = "auto"
"""What reads the names of lists: the packaged encoder, as without any setting."""
SIZES = (1, 5, 10, 25)
SIMPLE = ("popular", "item-neighbours", "markov", "als")


@cache
def playlists(data: Path) -> Playlists:
    """The lists, their names encoded by the default text encoder."""
    return with_name_vectors(lists(data, "mpd_popular"), text_encoder(READER).encode_documents)


@cache
def model(data: Path) -> ListServingModel:
    """The parts of a blend, fitted without the lists held out."""
    return list_serving_model(
        Bundle(parts=list_parts(data), default=CONTINUE, item_ids=playlists(data).data.item_ids, about={})
    )


def list_parts(data: Path, encoders: Mapping[str, Part] = MappingProxyType({})) -> dict[str, Part]:
    """The parts for lists of a blend that takes in `encoders`."""
    plan = Plan(text_encoder=READER, include_seen=False, seed=SEED)
    for fact in train_list_parts(playlists(data), plan, encoders=encoders):
        match fact:
            case Progress():
                say(f"{fact.part}: {fact.fact}")
            case dict():
                return fact
    raise AssertionError("the training of list parts ends with them")


def continuation(data: Path) -> Iterator[Row]:
    """First items shown: against neighbour lists, and against the best of four simple sources."""
    for size in SIZES:
        ours = continued(data, model(data), size)
        others = {part: continued(data, model(data), size, part=part) for part in ("neighbours", *SIMPLE)}
        for name in ("r_precision", "ndcg"):
            fused, neighbours = getattr(ours, name), getattr(others["neighbours"], name)
            gain = paired(fused, neighbours)
            yield Row(
                what=f"{name} of continuation against neighbour lists, {size} seeds",
                value={
                    "ratio": fused.mean() / neighbours.mean(),
                    "ours": fused.mean(),
                    "theirs": neighbours.mean(),
                    "gain": str(gain),
                },
                must=">= 1.05, low > 0",
                holds=bool(fused.mean() >= 1.05 * neighbours.mean() and gain.low > 0),
                seed=SEED,
                n=len(fused),
            )
            best = max(SIMPLE, key=lambda part: float(getattr(others[part], name).mean()))
            theirs = float(getattr(others[best], name).mean())
            yield at_least(
                f"{name} of continuation against the best simple source, {size} seeds",
                float(fused.mean()) / theirs,
                1.15,
                seed=SEED,
                n=len(fused),
                best=best,
                theirs=theirs,
            )


def names(data: Path) -> Iterator[Row]:
    """The name alone, against popular items."""
    ours, popular = (continued(data, model(data), 0, part=part).r_precision for part in (CONTINUE, "popular"))
    ratio = float(np.mean(ours) / np.mean(popular))
    yield at_least("R-precision of a name alone against popular", ratio, 3, seed=SEED, n=len(ours), ours=np.mean(ours))


def cases(data: Path, size: int) -> ContinuationCases:
    """The lists held out, of which the first `size` items are shown."""
    return continuation_cases(split_playlists(playlists(data)).test, seeds=size, order="sensitive", seed=SEED)


def continued(data: Path, by: ListServingModel, size: int, *, part: str = CONTINUE) -> Figures:
    """Of each list held out whose first `size` items `part` of the bundle continues."""
    tested = cases(data, size)
    queries = list_queries(tested, items=playlists(data).data.items)
    ranking = pipeline.rank(by, queries, RankingOptions(part=part, k=CUTOFF, order="sensitive"))
    return figures(ranking.rows, tested.targets)
