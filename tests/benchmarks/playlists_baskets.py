"""Baskets completed: one item left out, found again among the ten best; poolings compared at equal numbers of parameters."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from features.splits import TEST, VALIDATION
from models.encoders.deep_sets import DeepSetsConfig
from models.encoders.set_process import ProcessConfig
from models.encoders.set_transformer import SetTransformerConfig
from models.encoders.sets import SetPooling, set_pooling
from recsys.metrics.ranking import bootstrap, paired
from recsys.retrieval.lists.encoder import DecodingConfig
from tests.benchmarks.harness import Row, in_two_workers, say
from tests.benchmarks.playlists_data import lists
from tests.benchmarks.playlists_parts import Learned, encoder

SETS = ("instacart_sample", "online_retail")
DIM, EPOCHS, OUT = 64, 10, 5
POOLINGS: dict[str, tuple[str, dict[str, int], SetPooling]] = {
    "mean": ("deep-sets", {"hidden": 108}, DeepSetsConfig(hidden=108)),
    "process": ("process", {"hidden": 64}, ProcessConfig(hidden=64)),
    "attention": ("attention", {"hidden": 60}, SetTransformerConfig(hidden=60)),
}
"""What each is called in settings; its width gives all of them about as many parameters."""

SEED = 0
SEEDS = (0, 1, 2)


def settings(pooling: str, *, completion: bool = False) -> dict[str, Any]:
    """Those of one encoder: ids alone, so that poolings differ and nothing else."""
    kind, width, _ = POOLINGS[pooling]
    table: dict[str, Any] = {"items": "id", "min_count": 2, "pooling": kind}
    table |= {"encoder": {"dim": DIM, "pooling": width}, "loop": {"epochs": EPOCHS}}
    return table if completion else table | {"completion": False}


def baskets(data: Path) -> Iterator[Row]:
    """Recall@10 of each pooling, mean of the seeds, and what process or attention, the better on validation, gains over the mean,
    paired by basket."""
    sizes = {
        name: sum(p.numel() for p in set_pooling(config, dim=DIM).parameters())
        for name, (_, _, config) in POOLINGS.items()
    }
    say(f"parameters of the poolings: {sizes}")
    for name in SETS:
        jobs = [(data, name, pooling, seed) for pooling in POOLINGS for seed in SEEDS]
        hits = dict(zip(jobs, in_two_workers(_recall, jobs), strict=True))
        chosen, found = (
            {
                pooling: np.mean([hits[data, name, pooling, seed][fold] for seed in SEEDS], axis=0)
                for pooling in POOLINGS
            }
            for fold in (VALIDATION, TEST)
        )
        for pooling, values in found.items():
            yield _printed(f"basket completion {name}, {pooling}, Recall@10", values)
        better = max(("process", "attention"), key=lambda pooling: float(chosen[pooling].mean()))
        gain = paired(found[better], found["mean"])
        yield Row(
            what=f"basket completion {name}, {better} minus mean, Recall@10",
            value={"value": gain.mean, "low": gain.low, "high": gain.high, "parameters": sizes},
            must="low > 0",
            holds=gain.low > 0,
            seed=SEEDS,
            n=len(found["mean"]),
        )


def _recall(data: Path, name: str, pooling: str, seed: int) -> dict[int, NDArray[np.float64]]:
    """Recall@10 of each basket of validation and test, by an encoder trained with `seed`."""
    torch.set_num_threads(1)
    model, found = encoder(data, name, "set", settings(pooling), seed=seed), {}
    for fold in (VALIDATION, TEST):
        rest, left, owner = _questions(data, name, fold=fold)
        found[fold] = _means(_hits(model, rest, left), owner)
    return found


def completion(data: Path) -> Iterator[Row]:
    """The pointer decoder against the ranking that it starts from: recall of the first ten that it points at."""
    name = "instacart_sample"
    rest, left, owner = _questions(data, name)
    model = encoder(data, name, "set", settings("attention", completion=True))
    ranked, pointed = _hits(model, rest, left), _pointed(model, rest, left)
    gain = paired(_means(pointed, owner), _means(ranked, owner))
    yield Row(
        what=f"pointer minus ranking {name}, Recall@10",
        value={"value": gain.mean, "low": gain.low, "high": gain.high},
        must="printed",
        holds=True,
        seed=SEED,
        n=len(np.unique(owner)),
    )


def _questions(
    data: Path, name: str, *, fold: int = TEST
) -> tuple[list[NDArray[np.int64]], NDArray[np.int64], NDArray[np.int64]]:
    """(baskets with one item left out, the item, whose basket): up to five items of each basket that was never learned."""
    held = lists(data, name)
    generator = np.random.default_rng(SEED)
    rest, left, owner = [], [], []
    for number, rows in enumerate(held.only(held.folds == fold).rows()):
        distinct = np.unique(rows)
        if len(distinct) < 2:
            continue
        for item in generator.permutation(distinct)[:OUT].tolist():
            rest.append(rows[rows != item])
            left.append(item)
            owner.append(number)
    return rest, np.array(left), np.array(owner)


def _hits(model: Learned, rest: list[NDArray[np.int64]], left: NDArray[np.int64]) -> NDArray[np.float64]:
    """Whether the item left out is among the ten best of all known items that the basket lacks; ties count half."""
    every = np.flatnonzero(model.known)
    out = np.zeros(len(rest))
    for start in range(0, len(rest), 256):
        block = rest[start : start + 256]
        scores = model.next_scores(block, np.broadcast_to(every, (len(block), len(every))))
        for i, rows in enumerate(block):
            scores[i, np.isin(every, rows)] = -np.inf
            at = np.flatnonzero(every == left[start + i])
            if len(at) and np.isfinite(scores[i, at[0]]):
                above, equal = (scores[i] > scores[i, at[0]]).sum(), (scores[i] == scores[i, at[0]]).sum()
                out[start + i] = above + (equal - 1) / 2 < 10
    return out


def _pointed(model: Learned, rest: list[NDArray[np.int64]], left: NDArray[np.int64]) -> NDArray[np.float64]:
    every, out = np.flatnonzero(model.known), np.zeros(len(rest))
    config = DecodingConfig(length=10, width=1)
    for i, rows in enumerate(rest):
        scores = model.next_scores([rows], every[None])[0]
        scores[np.isin(every, rows) | np.isnan(scores)] = -np.inf
        candidates = every[np.argpartition(-scores, 100)[:100]]
        found = model.decode(rows, candidates=candidates, prior=None, groups=None, config=config)
        out[i] = bool(found) and left[i] in found[0].rows
    return out


def _means(values: NDArray[np.float64], owner: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of each basket."""
    return np.bincount(owner, weights=values)[np.unique(owner)] / np.bincount(owner)[np.unique(owner)]


def _printed(what: str, values: NDArray[np.float64]) -> Row:
    figure = bootstrap(values)
    value = {"value": figure.mean, "low": figure.low, "high": figure.high}
    return Row(what=what, value=value, must="printed", holds=True, seed=SEEDS, n=len(values))
