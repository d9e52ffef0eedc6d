"""The headline training run, and what its vectors have kept that a bag of words loses; categories on baskets."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import t

from features.splits import FIT
from recsys.data.playlists import Playlists
from recsys.evaluation.probe_classifiers import SEEDS, Probed, probe_all
from recsys.metrics.ranking import Interval
from recsys.retrieval.lists.mean import MEAN, fit_mean
from tests.benchmarks.harness import Row, in_two_workers, say
from tests.benchmarks.playlists_data import lists
from tests.benchmarks.playlists_parts import Learned, cost, encoder

MPD: dict[str, Any] = {}
"""The headline run: the recipe as it is."""

BASKETS: dict[str, Any] = {"encoder": {"max_length": 64}, "items": "id", "min_count": 2, "loop": {"epochs": 8}}
SEED = 0
SPLITS = (0, 1, 2, 3, 4)
"""Of the baskets, each with an encoder that has not learned those held out."""


def headline(data: Path) -> Iterator[Row]:
    """Time and memory of the headline training run, with the packaged text encoder and with none."""
    for reader in ("auto", "hashed"):
        spent = cost(data, "mpd_popular", "playlist-seq2seq", MPD, reader=reader)
        yield Row(
            what=f"playlist-seq2seq on mpd_popular, texts read by {reader!r}: minutes and GiB of its training",
            value={"minutes": spent["seconds"] / 60, "of a processor": spent["cpu_seconds"] / 60, "gib": spent["gib"]},
            must="<= 40 minutes, < 6 GiB",
            holds=spent["seconds"] <= 2400 and spent["gib"] < 6,
            seed=SEED,
            n=len(lists(data, "mpd_popular")),
        )


def probes(data: Path) -> Iterator[Row]:
    """Order and length on playlists, category on baskets: the sequence encoder beside the mean of its own item vectors."""
    encoder(data, "mpd_popular", "playlist-seq2seq", MPD)  # once, before two workers want it
    asked: dict[str, tuple[str, Callable[[Probed, float], bool]]] = {
        "order, neighbours swapped": (
            "low > .5, the mean exactly .5",
            lambda own, mean: own.accuracy.low > 0.5 == mean,
        ),
        "order, shuffled": (
            ">= .65, the mean exactly .5",
            lambda own, mean: own.accuracy.mean >= 0.65 and mean == 0.5,
        ),
        "length": (">= twice chance", lambda own, _: own.accuracy.mean >= 2 * own.chance),
        "content": ("printed", lambda *_: True),
    }
    for found in in_two_workers(_playlists, [(data, question) for question in asked]):
        own, mean = found["seq2seq"], found["mean"].accuracy.mean
        must, holds = asked[own.probe]
        yield _row(own, must, holds(own, mean), mean=mean)
    yield _category(data)


def _playlists(data: Path, question: str) -> dict[str, Probed]:
    torch.set_num_threads(1)
    learned = encoder(data, "mpd_popular", "playlist-seq2seq", MPD)
    return _probed(learned, lists(data, "mpd_popular"), attribute=None, only=question)


def _category(data: Path) -> Row:
    """The department of a basket. The lists are split five times over, for few baskets of one split are of a rare department."""
    found = list(in_two_workers(_departments, [(data, split) for split in SPLITS]))
    own, mean = (np.array([kept[name].accuracy.mean for kept in found]) for name in ("seq2seq", "mean"))
    gaps = mean - own
    spread = t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / len(gaps) ** 0.5
    return Row(
        what="probe category, playlist-seq2seq",
        value={
            "value": own.mean(),
            "mean": mean.mean(),
            "gap": gaps.mean(),
            "low": gaps.mean() - spread,
            "high": gaps.mean() + spread,
            "chance": found[0]["mean"].chance,
        },
        must="at most .03 below the mean",
        holds=bool(gaps.mean() <= 0.03),
        seed=SPLITS,
        n=sum(kept["mean"].lists for kept in found),
    )


def _departments(data: Path, split: int) -> dict[str, Probed]:
    torch.set_num_threads(1)
    learned = encoder(data, "instacart_sample", "playlist-seq2seq", BASKETS, split=split)
    asked = lists(data, "instacart_sample", split=split)
    return _probed(learned, asked, attribute="department", only="category")


def _probed(learned: Learned, asked: Playlists, *, attribute: str | None, only: str) -> dict[str, Probed]:
    bag = fit_mean(asked.only(asked.folds == FIT).data, learned.vectors, MEAN, name="mean")
    found = {}
    for row in probe_all({"seq2seq": learned, "mean": bag}, asked, attribute=attribute, seeds=SEEDS, only=only):
        say(f"{row.probe}, {row.encoder}: {row.accuracy} by {row.by}, chance {row.chance:.3f}")
        found[row.encoder] = row
    return found


def _row(own: Probed, must: str, holds: bool, **more: float) -> Row:
    accuracy: Interval = own.accuracy
    value = {"value": accuracy.mean, "low": accuracy.low, "high": accuracy.high, "sd": own.spread, "chance": own.chance}
    return Row(
        what=f"probe {own.probe}, playlist-seq2seq", value=value | more, must=must, holds=holds, seed=SEEDS, n=own.lists
    )
