"""Five alternatives against what costs nothing: as many items of one list, its first list, and maximal marginal relevance."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.splits import TEST
from recsys.metrics.ranking import paired
from recsys.retrieval.lists.encoder import STRENGTH
from recsys.service import Recommender
from recsys.service.playlists.questions import ContinueOptions
from recsys.store import Store
from tests.benchmarks.harness import Row, at_least
from tests.benchmarks.playlists_data import lists
from tests.benchmarks.playlists_served import served

SHOWN, LENGTH, ALTERNATIVES, CASES, SEED = 25, 10, 5, 250, 0
STRENGTHS = (0.0, 0.2, STRENGTH)
MMR_POOL, MMR_RELEVANCE = 200, 0.7

Case = tuple[list[str], set[str]]
"""(items shown, items withheld)."""


def alternatives(data: Path) -> Iterator[Row]:
    """By the fusion, and as the list decoders write them."""
    store = Store.open(served(data))
    recommender = Recommender(store)
    for encoder in (None, "playlist-seq2seq", "set"):
        for strength in STRENGTHS:
            yield from _measured(recommender, encoder, _cases(data), strength=strength)
    recommender.close()
    store.close()


def _cases(data: Path) -> list[Case]:
    """Lists that were never learned and have enough left to find."""
    stored = lists(data, "mpd_popular")
    ids = np.array(stored.data.item_ids)
    tested = stored.only(stored.folds == TEST).rows()
    split = [(rows[:SHOWN], np.setdiff1d(rows[SHOWN:], rows[:SHOWN])) for rows in tested]
    return [(ids[rows].tolist(), set(ids[after].tolist())) for rows, after in split if len(after) >= LENGTH][:CASES]


def _measured(
    recommender: Recommender, encoder: str | None, cases: Sequence[Case], *, strength: float
) -> Iterator[Row]:
    columns = [_figures(recommender, encoder, case, strength=strength) for case in cases]
    count, union, one_list, mmr, best, plain, first_loss = np.array(columns).T
    name = f"{encoder or 'fusion'}, strength {strength}"
    common = {"seed": SEED, "n": len(cases)}
    yield Row(
        what=f"five alternatives, {name}",
        value={"lists": count.mean(), "loss of the first list's total score": first_loss.mean()},
        must="lists = 5",
        holds=bool((count == ALTERNATIVES).all()),
        **common,
    )
    ratio = float(union.mean() / one_list.mean())
    recalls = {"union": union.mean(), "one list": one_list.mean(), "mmr": mmr.mean()}
    yield at_least(f"recall of the union against one list of as many items, {name}", ratio, 0.9, **common, **recalls)
    gain = paired(best, plain)
    yield at_least(
        f"NDCG of the best single alternative minus the plain list, {name}",
        gain.mean,
        0,
        **common,
        best=best.mean(),
        plain=plain.mean(),
        low=gain.low,
    )


def _figures(recommender: Recommender, encoder: str | None, case: Case, *, strength: float) -> tuple[float, ...]:
    """(lists, recall of all items, of as many items of one list, of as many by MMR, NDCG of the best list, of the plain list, by
    how much the best total score is below that of the plain list)."""
    seeds, withheld = case

    def continued(**options: int | float) -> list[list[tuple[str, float]]]:
        answer = recommender.lists.continued(seeds, None, ContinueOptions(encoder=encoder, **options))  # type: ignore[arg-type]
        return [[(item.item_id, item.score) for item in one.items] for one in answer.alternatives]

    several = continued(k=LENGTH, alternatives=ALTERNATIVES, strength=strength)
    (plain,) = continued(k=LENGTH)
    (pool,) = continued(k=MMR_POOL)
    union = {item for items in several for item, _ in items}
    one_list = [item for item, _ in pool[: len(union)]]
    by_mmr = _mmr(recommender, pool, len(union))
    recalls = [len(withheld.intersection(items)) / len(withheld) for items in (union, one_list, by_mmr)]
    gains = [_ndcg([item for item, _ in items], withheld) for items in (*several, plain)]
    totals = [sum(score for _, score in items) for items in (several[0], plain)]
    return len(several), *recalls, max(gains[:-1]), gains[-1], totals[1] - totals[0]


def _mmr(recommender: Recommender, pool: Sequence[tuple[str, float]], count: int) -> list[str]:
    """Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998) over the cosines of the items' vectors."""
    snapshot = recommender._live.snapshot
    encoder = snapshot.lists.encoders["mean"]
    vectors = encoder.encode([row[None] for row in snapshot.catalogue.rows([item for item, _ in pool])])
    scores = np.array([score for _, score in pool])
    relevance = (scores - scores.min()) / max(float(np.ptp(scores)), 1e-9)
    chosen, nearest = list[int](), np.zeros(len(pool))
    while len(chosen) < min(count, len(pool)):
        worth: NDArray[np.float64] = MMR_RELEVANCE * relevance - (1 - MMR_RELEVANCE) * nearest
        worth[chosen] = -np.inf
        best = int(worth.argmax())
        chosen.append(best)
        nearest = np.maximum(nearest, vectors @ vectors[best])
    return [pool[i][0] for i in chosen]


def _ndcg(items: Sequence[str], withheld: set[str]) -> float:
    gains = 1 / np.log2(np.arange(len(items)) + 2)
    return float(gains[[item in withheld for item in items]].sum() / gains[: len(withheld)].sum())
