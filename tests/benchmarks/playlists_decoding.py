"""Five alternatives, as a request gets them, against the five best lists of one plain beam: how many items, how many right."""

from collections.abc import Iterator
from heapq import nlargest
from itertools import combinations
from pathlib import Path

import numpy as np

from features.splits import TEST
from recsys.metrics.ranking import bootstrap, paired
from recsys.retrieval.lists.encoder import STRENGTH
from recsys.service.playlists.questions import ContinuedList, ContinueOptions
from recsys.service.recommender import Recommender
from recsys.store import Store
from tests.benchmarks.harness import Row, at_least, say
from tests.benchmarks.playlists_data import lists
from tests.benchmarks.playlists_served import served

GIVEN, LENGTH, ALTERNATIVES, CASES = 25, 10, 5, 250
STRENGTHS = (0.2, 0.5, 1.0, 2.0)
"""Tried beside the served one."""
SEED = 0


def decoding(data: Path) -> Iterator[Row]:
    """Ratios of distinct items and of the recall of all alternatives' items: by the fusion, and written by the model."""
    store = Store.open(served(data))
    recommender = Recommender(store)
    for encoder in (None, "playlist-seq2seq"):
        yield from _measured(recommender, encoder, _cases(data))
    recommender.close()
    store.close()


Case = tuple[list[str], set[str]]
"""(items shown, items withheld)."""


def _cases(data: Path) -> list[Case]:
    """Lists that were never learned and have enough left to find."""
    held = lists(data, "mpd_popular")
    ids = np.array(held.data.item_ids)
    split = [(rows[:GIVEN], np.setdiff1d(rows[GIVEN:], rows[:GIVEN])) for rows in held.only(held.folds == TEST).rows()]
    return [(ids[past].tolist(), set(ids[after].tolist())) for past, after in split if len(after) >= LENGTH][:CASES]


def _measured(recommender: Recommender, encoder: str | None, cases: list[Case]) -> Iterator[Row]:
    name = encoder or "fusion"
    plain = np.array([_told(_plain(recommender, encoder, past), wanted) for past, wanted in cases])
    for strength in sorted({STRENGTH, *STRENGTHS}):
        options = ContinueOptions(k=LENGTH, alternatives=ALTERNATIVES, encoder=encoder, strength=strength)
        found = np.array(
            [_told(_ids(recommender.lists.continued(past, None, options)), wanted) for past, wanted in cases]
        )
        distinct, recall = found[:, 0].mean() / plain[:, 0].mean(), found[:, 1].mean() / plain[:, 1].mean()
        say(f"{name}, strength {strength}: {distinct:.2f} times the items, {recall:.2f} times the recall")
        if strength == STRENGTH:
            yield at_least(
                f"diverse over plain beam, distinct items of 5, {name}", distinct, 2.0, seed=SEED, n=len(cases)
            )
            gain = paired(found[:, 1], plain[:, 1])
            yield at_least(
                f"diverse over plain beam, recall of all 5, {name}",
                recall,
                1.1,
                seed=SEED,
                n=len(cases),
                plain=float(plain[:, 1].mean()),
                gain=[gain.mean, gain.low, gain.high],
            )
        yield Row(
            what=f"alternatives at strength {strength}, {name}",
            value={"distinct": distinct, "recall": recall, "right in the first": bootstrap(found[:, 2]).mean},
            must="printed",
            holds=True,
            seed=SEED,
            n=len(cases),
        )


def _plain(recommender: Recommender, encoder: str | None, past: list[str]) -> list[list[str]]:
    """The five best lists without any strength. Those of a fusion, which judges items one by one, are its five best sets, all of
    which are among the first so many items."""
    many = 1 if encoder is None else ALTERNATIVES
    among = LENGTH + ALTERNATIVES - 1 if encoder is None else LENGTH
    options = ContinueOptions(k=among, alternatives=many, encoder=encoder, strength=0.0)
    answer = recommender.lists.continued(past, None, options)
    if encoder is not None:
        return _ids(answer)
    (first,) = answer.alternatives
    sets = combinations(first.items, min(LENGTH, len(first.items)))
    best = nlargest(ALTERNATIVES, sets, key=lambda items: sum(item.score for item in items))
    return [[item.item_id for item in items] for items in best]


def _ids(answer: ContinuedList) -> list[list[str]]:
    return [[item.item_id for item in one.items] for one in answer.alternatives]


def _told(found: list[list[str]], wanted: set[str]) -> tuple[float, float, float]:
    """(distinct items, share of the withheld among them, share of right items in the first list)."""
    union = {one for items in found for one in items}
    return float(len(union)), len(union & wanted) / len(wanted), len(set(found[0]) & wanted) / len(found[0])
