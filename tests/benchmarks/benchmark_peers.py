"""Peers, tuned as ours are: models of RecTools, implicit and cornac on the same splits, against the default blend.

    make bench NAME=peers DATA=FOLDER [ROW=movielens_100k]

Each peer has an environment of its own, one thread, and at most 20 trials or 30 CPU minutes a set (`PEERS_BUDGET_S`
seconds) to choose its settings and its epoch on validation; weights of old events are among the settings where the peer
takes them. Then it is fitted on all but the last event of each user, which is ranked among the whole catalogue.
Each run is kept: a row that was ended goes on with the next peer. `ROW=games-sasrec` runs one peer alone.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from recsys.metrics.ranking import bootstrap, paired
from tests.benchmarks.harness import Row, in_two_workers, main
from tests.benchmarks.peers_runs import BUDGET_S, Run, blend, peer

NEXT_ITEM = {"movielens": "movielens_100k", "industrial": "amazon_industrial", "games": "amazon_games"}
REPEATED = {"groceries": "instacart_sample", "retail": "online_retail"}
RECTOOLS = ("ease", "als", "item-neighbours", "sasrec", "bert4rec", "hstu", "unisrec")
CORNAC = ("tifuknn", "upcf")
RATIO = 1.1


def against_peers(data: Path, *, name: str, environment: str, models: tuple[str, ...]) -> Iterator[Row]:
    """Every peer of a set, and the blend against the best of them by validation."""
    (ours,) = in_two_workers(blend, [(data, name)])
    runs = {model: peer(data, name, environment, model) for model in models}
    for model, run in runs.items():
        yield _row(f"{model} ({environment})", name, ours, run)
    best = max(runs, key=lambda model: runs[model]["chosen"]["validation"])
    yield _verdict(name, ours, best, runs[best], bound=1.0 if environment == "cornac" else RATIO)


def one_peer(data: Path, *, name: str, environment: str, model: str) -> Iterator[Row]:
    (ours,) = in_two_workers(blend, [(data, name)])
    yield _row(f"{model} ({environment})", name, ours, peer(data, name, environment, model))


def _row(what: str, name: str, ours: Run, run: Run) -> Row:
    figure, gain = bootstrap(run["ndcg"]), paired(ours["ndcg"], run["ndcg"])
    value = {
        "ndcg@10": str(figure),
        "blend minus it": str(gain),
        "cpu_s": round(run["cpu_s"]),
        "peak_mb": round(run["peak_mb"]),
        "coverage": round(run["coverage"], 4),
        "trials": len(run["trials"]),
        "budget_s": BUDGET_S,
        "chosen": run["chosen"],
    }
    return Row(what=f"{what} on {name}", value=value, must="printed", holds=True, seed=0, n=len(run["ndcg"]))


def _verdict(name: str, ours: Run, best: str, run: Run, *, bound: float) -> Row:
    figure, gain = bootstrap(ours["ndcg"]), paired(ours["ndcg"], run["ndcg"])
    ratio = float(np.mean(ours["ndcg"]) / np.mean(run["ndcg"]))
    low_enough = gain.low > 0 if bound > 1 else gain.high >= 0
    value = {"value": ratio, "blend": str(figure), "best peer": best, "difference": str(gain)} | {
        cost: ours[cost] for cost in ("cpu_s", "peak_mb", "coverage", "left_out")
    }
    must = f">= {bound}, lower bound > 0" if bound > 1 else "not below"
    return Row(
        what=f"blend / best tuned peer, NDCG@10 {name}",
        value=value,
        must=must,
        holds=(ratio >= bound or bound == 1) and low_enough,
        seed=0,
        n=len(ours["ndcg"]),
    )


def _benches() -> dict[str, Callable[[Path], Iterator[Row]]]:
    benches: dict[str, Callable[[Path], Iterator[Row]]] = {}
    for sets, environment, models in ((NEXT_ITEM, "rectools", RECTOOLS), (REPEATED, "cornac", CORNAC)):
        for short, name in sets.items():
            benches[name] = partial(against_peers, name=name, environment=environment, models=models)
            for model in models:
                benches[f"{short}-{model}"] = partial(one_peer, name=name, environment=environment, model=model)
    return benches


BENCHES = _benches()

if __name__ == "__main__":
    # without a row: one row a set, which has all its peers
    arguments = sys.argv[1:]
    chosen = (
        BENCHES if "--row" in arguments else {name: BENCHES[name] for name in (*NEXT_ITEM.values(), *REPEATED.values())}
    )
    sys.exit(main(chosen, arguments))
