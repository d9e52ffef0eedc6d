"""Item text embeddings: what the trained encoder gains, what experts and nested settings cost, and how fast they are.

    make bench NAME=item-text DATA=FOLDER [ROW=served]

The protocol stands in `item_text_runs.py`. Comparison rows train at size `small`: the first 3 layers of MiniLM, at most 2,500
pairs a domain, 2 epochs. Intervals are 95 % bootstraps over queries, drawn within each domain, paired where two runs differ.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recsys.encoders.catalogue import CatalogueTextEncoder
from recsys.encoders.catalogue_parts import checkpoint_part
from recsys.metrics.pair_recall import macro
from recsys.metrics.ranking import Interval, bootstrap
from tests.benchmarks import item_text_funnel
from tests.benchmarks.harness import Row, at_least, in_two_workers, main
from tests.benchmarks.item_text_histories import MODELS, SETS, TEXTS, gain
from tests.benchmarks.item_text_runs import (
    LEFT_OUT,
    SEED,
    Recalls,
    across,
    pairs_file,
    protocol,
    routed,
    run,
    vectors,
)

REPEATS = 7
SPOKEN = 1024
"""Texts of all domains, as long as they come, that speed is measured on."""


def served(data: Path) -> Iterator[Row]:
    """The served size against frozen MiniLM, its narrow setting, and what its training takes."""
    tuned, frozen = in_two_workers(run, [(data, "served"), (data, "frozen 6")])
    domains = _domains(data)
    ours, theirs = ({domain: runs[f"{domain} 6 384"] for domain in domains} for runs in (tuned, frozen))
    ratio = _macro(ours) / _macro(theirs)
    gains = {domain: bootstrap(ours[domain] - theirs[domain]) for domain in domains}
    yield _row(
        "served size over frozen MiniLM, macro Recall@10",
        {"ratio": ratio, "item-text": _means(ours), "frozen": _means(theirs), "minus": _shown(gains)},
        must=">= 1.2, no domain's upper bound < 0",
        holds=ratio >= 1.2 and all(one.high >= 0 for one in gains.values()),
        n=_count(ours),
    )
    narrow = _macro({domain: tuned[f"{domain} 6 64"] for domain in domains}) / _macro(ours)
    yield at_least("width 64 of 384 at full depth, share of full width", narrow, 0.985, seed=SEED, n=_count(ours))
    half = {dims: _macro({domain: tuned[f"{domain} 3 {dims}"] for domain in domains}) for dims in (64, 384)}
    yield _row("half the layers, macro Recall@10", half, must="printed", holds=True, n=_count(ours))
    seconds, gigabytes = float(tuned["seconds"][0]), float(tuned["gigabytes"][0])
    spent = {"seconds": seconds, "processor seconds": float(tuned["cpu"][0]), "gigabytes": gigabytes}
    yield _row("headline training run", spent, must="<= 2400 s, < 4 GB", holds=seconds <= 2400 and gigabytes < 4, n=1)


def among_all(data: Path) -> Iterator[Row]:
    """The same with the items of all domains as candidates, as a search has them; asked with the domain and without."""
    tuned, frozen = in_two_workers(across, [(data, "served"), (data, "frozen 6")])
    for kind, asked in {"asked with their domain": "", "asked without": " nobody"}.items():
        ours, theirs = ({domain: runs[domain + asked] for domain in _domains(data)} for runs in (tuned, frozen))
        gain = macro([ours[domain] - theirs[domain] for domain in ours], seed=SEED)
        shown = {"item-text": _means(ours), "frozen": _means(theirs), "minus": str(gain)}
        yield _row(f"candidates of all domains, {kind}, Recall@10", shown, must="printed", holds=True, n=_count(ours))


def mixture(data: Path) -> Iterator[Row]:
    """Experts by domain against one dense model and against a model of its own for each domain."""
    domains = _domains(data)
    names = ["mixture", "dense", *(f"only {domain}" for domain in domains)]
    runs = dict(zip(names, in_two_workers(run, [(data, name) for name in names]), strict=True))
    ours = {domain: runs["mixture"][f"{domain} 3 384"] for domain in domains}
    dense = {domain: runs["dense"][f"{domain} 3 384"] for domain in domains}
    separate = {domain: runs[f"only {domain}"][f"{domain} 3 384"] for domain in domains}
    gains = {domain: bootstrap(ours[domain] - dense[domain]) for domain in domains}
    whole = macro([ours[domain] - dense[domain] for domain in domains], seed=SEED)
    yield _row(
        "mixture minus one dense model, macro Recall@10",
        {"minus": str(whole), "by domain": _shown(gains), "mixture": _means(ours), "dense": _means(dense)},
        must="low > 0, no domain's upper bound < 0",
        holds=whole.low > 0 and all(one.high >= 0 for one in gains.values()),
        n=_count(ours),
    )
    ratio = _macro(ours) / _macro(separate)
    yield at_least(
        "mixture over separate models, macro Recall@10",
        ratio,
        0.97,
        seed=SEED,
        n=_count(ours),
        separate=_means(separate),
    )


def left_out(data: Path) -> Iterator[Row]:
    """Domains that training never met, read by the general expert, against frozen MiniLM of the same and of full size."""
    ours, same, full = in_two_workers(run, [(data, "without"), (data, "frozen 3"), (data, "frozen 6")])
    for domain in LEFT_OUT:
        tuned = ours[f"{domain} 3 384"]
        gain, beside = (bootstrap(tuned - base) for base in (same[f"{domain} 3 384"], full[f"{domain} 6 384"]))
        shown = {"minus the same 3 layers": str(gain), "minus all 6": str(beside), "value": float(tuned.mean())}
        yield _row(
            f"{domain} left out of training, minus frozen", shown, must=">= 0", holds=gain.mean >= 0, n=len(tuned)
        )


def sizes(data: Path) -> Iterator[Row]:
    """Each offered (layers, dims) against a model trained for that size alone."""
    offered = [(2, 64), (2, 384), (3, 64), (3, 384)]
    names = ["mixture", *(f"size {layers} {dims}" for layers, dims in offered)]
    nested, *alone = in_two_workers(run, [(data, name) for name in names])
    domains = _domains(data)
    for (layers, dims), one in zip(offered, alone, strict=True):
        key = f"{layers} {dims}"
        ours, theirs = ({domain: runs[f"{domain} {key}"] for domain in domains} for runs in (nested, one))
        ratio = _macro(ours) / _macro(theirs)
        what = f"{layers} layers, {dims} dims, over a model of that size"
        yield at_least(what, ratio, 0.97, seed=SEED, n=_count(ours), nested=_macro(ours), separate=_macro(theirs))


def speed(data: Path) -> Iterator[Row]:
    """Items a second of real texts by the clock: half the layers against all, a batch of all domains against a dense encoder."""
    read = protocol(data)
    some = np.random.default_rng(SEED).permutation(len(read.texts))[:SPOKEN]
    texts, domains = [read.texts[row] for row in some], [read.domains[row] for row in some]
    dense, mixed = (
        CatalogueTextEncoder.from_part(part)
        for part in (checkpoint_part("packaged", exits=[3]), routed(_domains(data)))
    )
    plain = [None] * len(texts)
    whole, half, experts = _rates([(dense, texts, plain, 6), (dense, texts, plain, 3), (mixed, texts, domains, 6)])
    n = len(texts)
    yield at_least("items/s, half the layers over all", half / whole, 1.8, seed=SEED, n=n, whole=whole, half=half)
    yield at_least("items/s, mixed batch over dense", experts / whole, 0.9, seed=SEED, n=n, mixed=experts)


def histories(data: Path) -> Iterator[Row]:
    """Sequence models on item-text minus on frozen MiniLM, leave-one-out, paired by user."""
    gains = dict(zip(SETS, in_two_workers(gain, [(data, name) for name in SETS]), strict=True))
    for model in MODELS:
        before, after = ({name: one[f"{model} {kind}"] for name, one in gains.items()} for kind in TEXTS)
        minus = {name: after[name] - before[name] for name in SETS}
        shown: dict[str, Any] = {"pooled": str(bootstrap(np.concatenate(list(minus.values()))))}
        for name in SETS:
            means = {kind: float(one[name].mean()) for kind, one in zip(TEXTS, (before, after), strict=True)}
            shown[name] = means | {"minus": str(bootstrap(minus[name]))}
        yield _row(
            f"{model} on item-text minus on frozen MiniLM, NDCG@10", shown, must="reported", holds=True, n=_count(minus)
        )


def funnel(data: Path) -> Iterator[Row]:
    """A short prefix before the whole vector against flat search, over a million vectors like those of the served encoder."""
    yield from item_text_funnel.funnel(vectors(data))


def _rates(asked: Sequence[tuple[CatalogueTextEncoder, Sequence[str], Sequence[str | None], int]]) -> list[float]:
    """Texts a second of each, the best of some turns taken in rotation, so that whatever else the machine does falls on all."""
    best = [np.inf] * len(asked)
    with threadpool_limits(1):
        for _ in range(REPEATS):
            for place, (encoder, texts, domains, layers) in enumerate(asked):
                started = time.perf_counter()
                encoder.encode_documents(texts, domains=domains, layers=layers)
                best[place] = min(best[place], time.perf_counter() - started)
    return [len(texts) / seconds for (_, texts, _, _), seconds in zip(asked, best, strict=True)]


def _domains(data: Path) -> list[str]:
    return sorted(pl.read_parquet(pairs_file(data), columns=["domain"])["domain"].unique())


def _macro(recalls: Mapping[str, NDArray[np.float64]]) -> float:
    return float(np.mean([one.mean() for one in recalls.values()]))


def _means(recalls: Recalls) -> dict[str, float]:
    return {"macro": round(_macro(recalls), 4)} | {
        domain: round(float(one.mean()), 4) for domain, one in recalls.items()
    }


def _shown(gains: Mapping[str, Interval]) -> dict[str, str]:
    return {domain: str(one) for domain, one in gains.items()}


def _count(recalls: Recalls) -> int:
    return sum(len(one) for one in recalls.values())


def _row(what: str, value: Any, *, must: str, holds: bool, n: int) -> Row:
    return Row(what=what, value=value, must=must, holds=holds, seed=SEED, n=n)


BENCHES = {
    "served": served,
    "among-all": among_all,
    "mixture": mixture,
    "left-out": left_out,
    "sizes": sizes,
    "speed": speed,
    "histories": histories,
    "funnel": funnel,
}

if __name__ == "__main__":
    sys.exit(main(BENCHES))
