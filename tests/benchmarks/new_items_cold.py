"""Cold items: a share of the catalogue is held out of all training, and sources are asked for it among the whole catalogue."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.data.dataset import Dataset
from recsys.data.splits import EvalCases, Split, split_by_fold
from recsys.encoders.base import Vectors
from recsys.encoders.normalize import l2_normalize
from recsys.metrics.ranking import paired
from recsys.retrieval.registry import restore_source
from recsys.retrieval.source import Source
from recsys.retrieval.text import TextConfig, TextSource
from recsys.store import Store
from recsys.training.inputs import load_inputs
from recsys.training.recipe_types import HistoryInputs, TwoStageFit
from recsys.training.recipes import RECIPES
from recsys.training.tuning import ndcg_at_10
from tests.benchmarks.foundation_runs import PLAN, imported
from tests.benchmarks.harness import Row, at_least

COLD_SHARE = 0.2
DECAYS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def lexical(data: Path) -> Iterator[Row]:
    """`lexical` alone against the recency-weighted mean of frozen text vectors, each with its decay chosen on
    validation, for two draws of cold items."""
    store = Store.open(imported(data, "amazon_industrial"))
    inputs = load_inputs(store, PLAN)
    store.close()
    for seed in (0, 1):
        yield compared(inputs.data, inputs.text, name="amazon_industrial", bound=1.08, seed=seed)


def compared(data: Dataset, text: Vectors, *, name: str, bound: float, seed: int) -> Row:
    """NDCG@10 on cold items: the ratio of means, and the paired difference."""
    warm, cold = held_out(data, seed=seed)
    folds, cases = split_by_fold(warm), cold_cases(data, cold)
    words = ndcg_at_10(_lexical(folds, data, cold, text), cases, items=data.items, include_seen=False)
    vectors = ndcg_at_10(mean_of_vectors(folds, text), cases, items=data.items, include_seen=False)
    return at_least(
        f"lexical / recency-weighted mean of frozen text vectors, NDCG@10 on cold items of {name}",
        float(words.mean() / vectors.mean()),
        bound,
        seed=seed,
        n=len(cases),
        lexical=float(words.mean()),
        vectors=float(vectors.mean()),
        difference=str(paired(words, vectors)),
    )


def held_out(data: Dataset, *, seed: int) -> tuple[Dataset, NDArray[np.bool_]]:
    """The data without events and texts of the cold items, and (items,) which these are."""
    cold = np.random.default_rng(seed).random(data.items) < COLD_SHARE
    texts = tuple("" if is_cold else text for text, is_cold in zip(data.texts, cold, strict=True))
    return replace(data.keep(~cold[data.rows]), texts=texts), cold


def cold_cases(data: Dataset, cold: NDArray[np.bool_]) -> EvalCases:
    """For each user the last cold item that comes after a warm one, with the warm events before it as history."""
    users, histories, targets = list[str](), [], list[int]()
    for user, history in zip(data.users, data.histories(), strict=True):
        after_warm = np.flatnonzero(cold[history.rows] & (np.cumsum(~cold[history.rows]) > 0))
        if len(after_warm):
            before = history.select(slice(0, int(after_warm[-1])))
            users.append(user)
            histories.append(before.select(~cold[before.rows]))
            targets.append(int(history.rows[after_warm[-1]]))
    return EvalCases(tuple(users), tuple(histories), np.array(targets, dtype=np.int64))


def _lexical(folds: Split, data: Dataset, cold: NDArray[np.bool_], text: Vectors) -> Source:
    """The source with the cold items written after its training."""
    *_, fit = RECIPES["lexical"].train("lexical", HistoryInputs(folds=folds, text=text), PLAN)
    assert isinstance(fit, TwoStageFit)
    rows = np.flatnonzero(cold)
    return restore_source(fit.refit).with_texts(rows, [data.texts[row] for row in rows.tolist()])


def mean_of_vectors(folds: Split, text: Vectors) -> Source:
    """The mean with the decay that does best on validation, cold items among the candidates."""

    def source(decay: float) -> TextSource:
        config = {"text_encoder": PLAN.text_encoder, "decay": decay, "window": TextConfig(text_encoder="").window}
        known, dim = np.ones(len(text), dtype=np.bool_), text.shape[1]
        mean, identity = np.zeros(dim, dtype=np.float32), np.eye(dim, dtype=np.float32)
        return TextSource(l2_normalize(text), known=known, mean=mean, whiten=identity, config=config)

    def figure(decay: float) -> float:
        ranked = ndcg_at_10(source(decay), folds.validation, items=folds.fit.items, include_seen=False)
        return float(ranked.mean())

    return source(max(DECAYS, key=figure))


BENCHES = {"lexical": lexical}
