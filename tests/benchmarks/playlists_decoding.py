"""Five alternatives by diverse beam search against the five best of one plain beam: how many items, and how many right."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.splits import TEST
from recsys.evaluation.metrics import bootstrap, paired
from recsys.retrieval.lists.encoder import Decoding
from recsys.retrieval.lists.seq2seq import Seq2seqLists
from tests.benchmarks.harness import Row, at_least
from tests.benchmarks.playlists_data import lists
from tests.benchmarks.playlists_parts import encoder
from tests.benchmarks.playlists_probes import MPD

GIVEN, LENGTH, ALTERNATIVES, CANDIDATES, CASES = 25, 10, 5, 500, 250
STRENGTHS = (0.2, 0.5, 1.0, 2.0)
SERVED = Decoding(length=LENGTH, alternatives=ALTERNATIVES)
SEED = 0


def decoding(data: Path) -> Iterator[Row]:
    """Ratios of distinct items and of the recall of all alternatives' items, at the strength that is served."""
    model = encoder(data, "mpd_popular", "playlist-seq2seq", MPD)
    assert isinstance(model, Seq2seqLists)
    cases = _cases(data, model)
    base = np.array([_diverse(model, past, wanted, 0.0) for past, wanted in cases])
    for strength in STRENGTHS:
        found = np.array([_diverse(model, past, wanted, strength) for past, wanted in cases])
        distinct, recall = found[:, 0].mean() / base[:, 0].mean(), found[:, 1].mean() / base[:, 1].mean()
        if strength == SERVED.strength:
            yield at_least("diverse over plain beam, distinct items of 5", distinct, 2.0, seed=SEED, n=len(cases))
            gain = paired(found[:, 1], base[:, 1])
            more = {"plain": float(base[:, 1].mean()), "gain": [gain.mean, gain.low, gain.high]}
            yield at_least("diverse over plain beam, recall of all 5", recall, 1.1, seed=SEED, n=len(cases), **more)
        value = {"distinct": distinct, "recall": recall, "first": bootstrap(found[:, 2]).mean}
        yield Row(
            what=f"diverse beam at strength {strength}",
            value=value,
            must="printed",
            holds=True,
            seed=SEED,
            n=len(cases),
        )


def _cases(data: Path, model: Seq2seqLists) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(first items, distinct known items withheld) of lists that were never learned."""
    held = lists(data, "mpd_popular")
    out = []
    for rows in held.only(held.folds == TEST).rows():
        past, after = rows[:GIVEN], np.setdiff1d(model.usable(rows[GIVEN:]), rows[:GIVEN])
        if len(model.usable(past)) and len(after) >= LENGTH:
            out.append((past, after))
    return out[:CASES]


def _among(model: Seq2seqLists, past: NDArray[np.int64]) -> NDArray[np.int64]:
    """The candidates that the model itself puts first."""
    every = np.flatnonzero(model.known)
    scores = model.next_scores([past], every[None])[0]
    scores[np.isin(every, past)] = -np.inf
    return every[np.argpartition(-scores, CANDIDATES)[:CANDIDATES]]


def _diverse(
    model: Seq2seqLists, past: NDArray[np.int64], wanted: NDArray[np.int64], strength: float
) -> tuple[float, float, float]:
    asked = replace(SERVED, strength=strength)
    found = model.decode(past, among=_among(model, past), prior=None, groups=None, wanted=asked)
    return _measured([one.rows for one in found], wanted)


def _measured(found: list[NDArray[np.int64]], wanted: NDArray[np.int64]) -> tuple[float, float, float]:
    """(distinct items, share of the withheld among them, share of right items in the first list)."""
    union = np.unique(np.concatenate(found))
    return float(len(union)), np.isin(wanted, union).mean(), np.isin(found[0], wanted).mean()
