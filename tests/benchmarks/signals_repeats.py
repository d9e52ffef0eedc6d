"""What people take again: the source `personal` alone, and the default blend against the same without it and without sessions."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from recsys.data.build import dataset
from recsys.data.dataset import Dataset
from recsys.data.history import History
from recsys.data.splits import EvalCases, split_by_fold
from recsys.metrics.ranking import Interval, PerCase, Scores, bootstrap, dense_ranks, ndcg, paired
from recsys.ranking.filters import over_catalogue
from recsys.retrieval.markov import MarkovConfig, fit_markov
from recsys.retrieval.personal import PersonalConfig, untrained
from recsys.store import Store
from recsys.training.bundling import default_parts
from recsys.training.personal import fit_personal
from recsys.training.seen_rule import choose_seen_rule, decayed
from recsys.training.tuning import ndcg_at_10
from tests.benchmarks.harness import Row, at_least, in_two_workers
from tests.benchmarks.signals_data import dated_orders, events_of, filled, items_of
from tests.benchmarks.signals_runs import Users, compared

GROCERIES, RETAIL = "instacart_sample", "online_retail"
UNREPEATED = ("movielens_100k", "amazon_games", "amazon_industrial")
CASES_PER_BLOCK = 256


def personal(data: Path) -> Iterator[Row]:
    """`personal` alone among items of the history and all others, beside what it has to beat."""
    stored = _stored(items_of(data, GROCERIES), events_of(data, GROCERIES))
    folds = split_by_fold(stored)
    cases, items = folds.test, stored.items
    fitted = fit_personal(folds.refit, PersonalConfig(), seed=0)
    markov = fit_markov(folds.refit, MarkovConfig(), repeats=True)
    yield _by_target("personal", ndcg_at_10(fitted, cases, items=items, include_seen=True), cases, bound=0.158)
    controls = {
        "personal, session not known": ndcg_at_10(fitted, cases.without_sessions(), items=items, include_seen=True),
        "markov": ndcg_at_10(markov, cases, items=items, include_seen=True),
        "own count, .9 a session": _by_hand(decayed, cases, items=items),
        "own count": _by_hand(lambda history: history.weights.astype(np.float32), cases, items=items),
        "personal, untrained": ndcg_at_10(
            untrained(folds.refit, PersonalConfig()), cases, items=items, include_seen=True
        ),
    }
    for name, figures in controls.items():
        yield _by_target(name, figures, cases)


def groceries(data: Path) -> Iterator[Row]:
    """instacart_sample, each user's last event withheld."""
    users = _trained(items_of(data, GROCERIES), events_of(data, GROCERIES), "leave-one-out")
    yield from _rows(users, f"{GROCERIES} leave-one-out", bound=0.165)


def retail(data: Path) -> Iterator[Row]:
    """online_retail, each customer's last event withheld."""
    users = _trained(items_of(data, RETAIL), events_of(data, RETAIL), "leave-one-out")
    yield from _rows(users, f"{RETAIL} leave-one-out", bound=0.250)


def temporal_groceries(data: Path) -> Iterator[Row]:
    """The last tenth of the orders, by days before each user's last one: there are no dates to cut at."""
    users = _trained(items_of(data, GROCERIES), dated_orders(data), "temporal")
    yield from _rows(users, f"{GROCERIES} temporal, by days before each user's last order (it has no dates)")


def temporal_retail(data: Path) -> Iterator[Row]:
    """The last tenth of the events by date."""
    users = _trained(items_of(data, RETAIL), events_of(data, RETAIL), "temporal")
    yield from _rows(users, f"{RETAIL} temporal")


def unharmed(data: Path) -> Iterator[Row]:
    """Where items of the history are no answers, the blend is as before: the same parts, the same rows allowed."""
    for name in UNREPEATED:
        items, events = items_of(data, name), events_of(data, name)
        stored = _stored(items, events)
        folds = split_by_fold(stored)
        rule = choose_seen_rule(folds, seed=0)
        if rule.include_seen:
            users = _trained(items, events, "leave-one-out")
            gain = paired(users["blend"], users["without"])
        else:
            new = set(default_parts(include_seen=rule.include_seen)) - set(default_parts(include_seen=False))
            same = not new and _asked_alike(folds.test, items=stored.items)
            gain = Interval(0.0, 0.0, 0.0) if same else bootstrap(np.empty(0))
        yield Row(
            what=f"blend minus the same without what is new, {name}",
            value={"value": gain.mean, "low": gain.low, "high": gain.high, "seen rule": str(rule)},
            must="no significant loss",
            holds=gain.high >= 0,
            seed=0,
            n=len(folds.test),
        )


def _trained(*arguments: object) -> Users:
    """`compared` in a process with one thread."""
    (users,) = in_two_workers(compared, [arguments])
    return dict(users)


def _stored(items: Path, events: Path) -> Dataset:
    store = Store.open(filled(items, events))
    try:
        return dataset(store, holdout="leave-one-out")
    finally:
        store.close()


def _rows(users: Users, where: str, *, bound: float | None = None) -> Iterator[Row]:
    """The blend, what it gains, and its parts; the gain has to be above 0, and surely so where there is a `bound`."""
    share = float(users["share of repeats"][0])
    figure = bootstrap(users["blend"])
    value = {"value": figure.mean, "low": figure.low, "high": figure.high, "share of repeats": share}
    yield Row(
        what=f"blend NDCG@10 {where}",
        value=value | {name: float(users[name].mean()) for name in _apart(users)},
        must=f">= {bound}" if bound else "printed",
        holds=bound is None or figure.mean >= bound,
        seed=0,
        n=len(users["blend"]),
    )
    gain = paired(users["blend"], users["without"])
    yield Row(
        what=f"blend minus the same without what is new, {where}",
        value={"value": gain.mean, "low": gain.low, "high": gain.high},
        must="low > 0" if bound else "> 0",
        holds=(gain.low if bound else gain.mean) > 0,
        seed=0,
        n=len(users["blend"]),
    )
    parts = {name: float(figures.mean()) for name, figures in users.items() if len(figures) == len(users["blend"])}
    n = int(users["cases"][0])
    yield Row(what=f"parts NDCG@10 {where}", value=parts, must="printed", holds=True, seed=0, n=n)


def _apart(users: Users) -> list[str]:
    return [name for name in users if ", repeats" in name or ", new" in name]


def _by_target(name: str, figures: PerCase, cases: EvalCases, *, bound: float = 0.0) -> Row:
    """A figure with its interval, and apart for targets that the user had before and for new ones."""
    interval, again = bootstrap(figures), cases.repeats
    apart = {"low": interval.low, "high": interval.high, "share of repeats": float(again.mean())}
    apart |= {"repeats": float(figures[again].mean()), "new": float(figures[~again].mean())}
    row = at_least(f"{name} NDCG@10 {GROCERIES}", interval.mean, bound, seed=0, n=len(cases), **apart)
    return row if bound else Row(what=row.what, value=row.value, must="printed", holds=True, seed=0, n=row.n)


def _by_hand(weights: Callable[[History], Scores], cases: EvalCases, *, items: int) -> PerCase:
    """NDCG@10 of the sum of the `weights` of each item's events; an item without any has no score."""
    out = []
    for start in range(0, len(cases), CASES_PER_BLOCK):
        block = cases[slice(start, start + CASES_PER_BLOCK)]
        scores = np.full((len(block), items), np.nan, dtype=np.float32)
        for i, history in enumerate(block.histories):
            scores[i, history.rows] = 0
            np.add.at(scores[i], history.rows, weights(history))
        allowed = [query.allowed for query in over_catalogue(block, items=items, include_seen=True)]
        out.append(ndcg(dense_ranks(scores, block.targets, np.stack(allowed))))
    return np.concatenate(out)


def _asked_alike(cases: EvalCases, *, items: int) -> bool:
    """Are the same rows allowed with sessions and without them?"""
    block = cases[slice(0, CASES_PER_BLOCK)]
    asked = [over_catalogue(part, items=items, include_seen=False) for part in (block, block.without_sessions())]
    return all(np.array_equal(a.allowed, b.allowed) for a, b in zip(*asked, strict=True))


BENCHES = {
    "personal": personal,
    "unharmed": unharmed,
    "blend-groceries": groceries,
    "blend-retail": retail,
    "temporal-groceries": temporal_groceries,
    "temporal-retail": temporal_retail,
}
