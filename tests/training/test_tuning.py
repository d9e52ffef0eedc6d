"""Settings are compared by exact scores, and what takes long says how far it is."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from recsys import pace
from recsys.data.splits import Split, split_by_fold
from recsys.indexes import build
from recsys.indexes.hnsw import HnswIndex, build_hnsw
from recsys.pace import result_of
from recsys.retrieval.dense import DenseSource
from recsys.retrieval.registry import restore_source
from recsys.training.plan import Plan, Progress
from recsys.training.recipe_types import HistoryInputs, TwoStageFit
from recsys.training.recipes import RECIPES, refit_part
from recsys.training.tuning import FitInputs
from tests.training.planted import dataset

DATA = dataset()
PLAN = Plan(text_encoder="hashed", include_seen=False)


def text() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((DATA.items, 8)).astype(np.float32)


def train(name: str, plan: Plan = PLAN, folds: Split | None = None) -> Iterator[Any]:
    inputs = HistoryInputs(folds=folds or split_by_fold(DATA), text=text())
    return RECIPES[name].train(name, inputs, plan)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of each graph that is built, in a world where ten items are a large catalogue."""
    built = list[int]()

    def counted(config: Any, vectors: Any, *, known: Any) -> HnswIndex:
        built.append(len(vectors))
        return build_hnsw(config, vectors, known=known)

    monkeypatch.setattr(build, "EXACT_ROWS", 10)
    monkeypatch.setattr(build, "build_hnsw", counted)
    return built


@pytest.mark.parametrize("name", ["text", "als"])
def test_one_index_is_built_for_all_settings_that_are_compared(name: str, graphs: list[int]) -> None:
    for fact in train(name):
        if isinstance(fact, Progress) and fact.fact.startswith("validation"):
            assert not graphs
    assert graphs == [DATA.items]
    assert isinstance(fact, TwoStageFit)
    source = restore_source(fact.refit)
    assert isinstance(source, DenseSource)
    assert isinstance(source.index, HnswIndex)
    exact = restore_source(fact.selection).exact()
    exact.search([], k=3)
    assert graphs == [DATA.items]


def test_a_part_of_texts_alone_is_not_fitted_again(graphs: list[int]) -> None:
    *_, fit = train("text")
    refit = FitInputs(dataset=DATA, text=text(), seed=0)
    assert result_of(refit_part(fit.refit, refit, PLAN)) is fit.refit
    assert len(graphs) == 1


def test_a_long_comparison_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "SECONDS_BETWEEN_FACTS", 0.0)
    facts = [fact.fact for fact in train("markov") if isinstance(fact, Progress)]
    assert facts[0].startswith("1 settings compared, validation NDCG@10 0.")
    assert sum("settings compared" in fact for fact in facts) > 10
