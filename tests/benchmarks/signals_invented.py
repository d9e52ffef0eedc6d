"""Rejections, funnels and ratings: what recommendations are like with signals, and without them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from recsys.data.build import dataset
from recsys.data.feedback import Signals
from recsys.data.splits import split_by_fold
from recsys.metrics.ranking import bootstrap, ndcg, paired
from recsys.signals import KINDS, SignalTable
from recsys.store import Store
from recsys.training.bundling import BLEND
from recsys.training.inputs import TrainingInputs, load_inputs
from tests.benchmarks.harness import Row, artifact, at_least, at_most, in_two_workers
from tests.benchmarks.signals_data import filled_with_texts, items_of, rated, written
from tests.benchmarks.signals_runs import LEARNING, PLAN, Users, answers, figures, save, trained
from tests.benchmarks.signals_stores import FUNNEL_SEED, NOISE, NOISY_SHOP_SEED, SHOP_SEED, Log, funnel, shop

EQUAL = SignalTable(kinds=dict.fromkeys(KINDS, 1.0), neutral="none")
"""Every event is a view, as it was before there were signals."""
TOP = 20
MOMENT = 7 * 3600
"""Seconds that part any two events of a log without sessions: longer than any gap within one."""
LIKED = 4.0
"""Ratings from which on a film is a target."""
NEUTRAL: Mapping[str, SignalTable] = {
    "user-mean": SignalTable(neutral="user-mean"),
    "3": SignalTable(neutral=3.0),
    "none": SignalTable(neutral="none"),
}
"""Which rating says nothing; with `none` all count alike: no signals."""


def dislikes(_: Path) -> Iterator[Row]:
    """The share of dislikes that nobody has told of yet in the 20 best, in a shop without wrong labels and in one with 10 %."""
    for seed, wrong in ((SHOP_SEED, 0.0), (NOISY_SHOP_SEED, NOISE)):
        log = shop(seed, wrong=wrong)
        items, events = _files(f"shop-{seed}", log)
        shares = {"with": _share(answers(items, events, SignalTable(), k=TOP), log.withheld)}
        shares["without"] = _share(answers(items, events, EQUAL, k=TOP), log.withheld)
        ratio = shares["with"]["labelled"] / shares["without"]["labelled"]
        what = f"withheld dislikes in the top {TOP}, with over without signals, {wrong:.0%} wrong labels"
        yield at_most(what, ratio, 0.5, seed=seed, n=len(log.withheld), **shares)


def bought(_: Path) -> Iterator[Row]:
    """Recommendations after a log of views, carts and purchases, against those of the rule before: views alone, seen ones too."""
    log = funnel(FUNNEL_SEED)
    items, events = _files("funnel", log)
    in_order = log.events.sort("timestamp", maintain_order=True).drop("session_id")
    at = pl.col("timestamp").max() - MOMENT * pl.int_range(pl.len() - 1, -1, -1)
    in_order = in_order.with_columns(timestamp=at)
    old_events = written("funnel-without-sessions", in_order, FUNNEL_SEED, MOMENT)
    now, before = answers(items, events, SignalTable(), k=10), answers(items, old_events, EQUAL, k=10, old=True)
    purchases = log.events.filter(kind="purchase")
    shares = [_purchased_already(given, purchases) for given in (now, before)]
    slots = sum(map(len, now.values()))
    what = "share of recommendations already purchased, invented funnel"
    yield Row(
        what=what,
        value={"value": shares[0], "before": shares[1]},
        must="< 0.01",
        holds=shares[0] < 0.01,
        seed=FUNNEL_SEED,
        n=slots,
    )
    gained, had = _next_purchase(now, log.withheld), _next_purchase(before, log.withheld)
    difference = paired(gained, had)
    yield at_least(
        "NDCG@10 of the next new purchase, over that of the rule before, invented funnel",
        float(gained.mean() / had.mean()),
        1.2,
        seed=FUNNEL_SEED,
        n=len(gained),
        now=float(gained.mean()),
        before=float(had.mean()),
        difference=str(difference),
    )


def ratings(data: Path) -> Iterator[Row]:
    """movielens_100k, the last film that each user rated 4 or more withheld, by what rating says nothing."""
    users = dict(zip(NEUTRAL, in_two_workers(rated_users, [(data, neutral) for neutral in NEUTRAL]), strict=True))
    for neutral, by_part in users.items():
        figure, gain = bootstrap(by_part[BLEND]), paired(by_part[BLEND], users["none"][BLEND])
        yield Row(
            what=f"blend NDCG@10 movielens_100k, targets rated >= 4, neutral {neutral}",
            value={"value": figure.mean, "low": figure.low, "high": figure.high, "minus none": str(gain)}
            | {name: float(values.mean()) for name, values in by_part.items()},
            must="printed",
            holds=True,
            seed=0,
            n=len(by_part[BLEND]),
        )


def rated_users(data: Path, neutral: str) -> Users:
    """The blend and its parts where `neutral` is the rating that says nothing. All have the same targets."""
    items, events = items_of(data, "movielens_100k"), rated(data)
    path = artifact("signals ratings", neutral, LIKED, files=[items, events], code=LEARNING).with_suffix(".npz")
    if not path.exists():
        inputs = _liked_withheld(filled_with_texts(items, events), NEUTRAL[neutral])
        bundle = trained(inputs, [BLEND], included={})
        cases = split_by_fold(inputs.data).test
        save(path, figures(bundle, inputs, cases, [name for name in bundle.parts if name != "plain-blend"]))
    return dict(np.load(path))


def _liked_withheld(url: str, table: SignalTable) -> TrainingInputs:
    """Events that count by `table`, with targets and folds as where `LIKED` is neutral: what is rated less is no target."""
    store = Store.open(url)
    strict = dataset(store, holdout="leave-one-out", table=SignalTable(neutral=LIKED))
    inputs = load_inputs(store, replace(PLAN, signals=Signals(table=table)), include_seen=False)
    store.close()
    assert np.array_equal(strict.rows, inputs.data.rows)
    return replace(inputs, data=replace(inputs.data, folds=strict.folds, targets=strict.targets))


def _files(name: str, log: Log) -> tuple[Path, Path]:
    return written(f"{name}-items", log.items), written(f"{name}-events", log.events)


def _share(given: Mapping[str, list[str]], withheld: pl.DataFrame) -> dict[str, float]:
    """Of the withheld dislikes how many are recommended: of all that are so labelled, and of those that are meant."""
    hit = np.array([item in given.get(user, []) for user, item, _ in withheld.iter_rows()])
    return {"labelled": float(hit.mean()), "meant": float(hit[withheld["meant"].to_numpy()].mean())}


def _purchased_already(given: Mapping[str, list[str]], purchases: pl.DataFrame) -> float:
    pairs = set(purchases.select("user_id", "item_id").iter_rows())
    again = [(user, item) in pairs for user, items in given.items() for item in items]
    return float(np.mean(again))


def _next_purchase(given: Mapping[str, list[str]], withheld: pl.DataFrame) -> np.ndarray:
    """NDCG@10 of each user's next purchase."""
    ranks = [
        given[user].index(item) + 1 if item in given[user] else np.inf
        for user, item in withheld.select("user_id", "item_id").iter_rows()
    ]
    return ndcg(np.array(ranks))


BENCHES = {"dislikes": dislikes, "funnel": bought, "ratings": ratings}
