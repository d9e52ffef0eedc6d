"""The size of a sequence model of a large catalogue is searched on a sample, and a resumed search repeats no trial."""

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.data.splits import split_by_fold
from recsys.training import sequence_part, sequence_search
from recsys.training.plan import Plan, Progress
from recsys.training.recipe_types import HistoryInputs, TwoStageFit
from recsys.training.recipes import RECIPES
from recsys.training.tuning import FitInputs
from tests.training.planted import dataset

DATA = dataset(users=150, items=30, length=8)
OVERRIDES = {"sasrec": {"loop": {"epochs": 2}, "encoder": {"dim": 16, "max_length": 10}, "negatives": 16}}
PLAN = Plan(text_encoder="hashed", include_seen=False, overrides=OVERRIDES)


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten items are a large catalogue, whose layers alone are searched, on 300 events."""
    monkeypatch.setattr(sequence_part, "FULL_SOFTMAX_ITEMS", 10)
    monkeypatch.setattr(sequence_search, "SAMPLE_EVENTS", 300)


def train(plan: Plan = PLAN) -> Generator[Any, None, None]:
    inputs = HistoryInputs(folds=split_by_fold(DATA), text=np.zeros((DATA.items, 4), dtype=np.float32))
    yield from RECIPES["sasrec"].train("sasrec", inputs, plan)


def lines(facts: Iterator[Any]) -> list[str]:
    return [fact.fact for fact in facts if isinstance(fact, Progress)]


@pytest.mark.slow
def test_what_the_user_left_open_is_searched_on_a_sample() -> None:
    facts = list(train())
    trials = [line for line in lines(iter(facts)) if line.startswith("trial ")]
    assert len(trials) >= 2
    assert all("'dim': 16" in line and "'max_length': 10" in line and "'epochs': 2" in line for line in trials)
    assert {layers for layers in (1, 2) if any(f"'layers': {layers}" in line for line in trials)} == {1, 2}
    assert isinstance(facts[-1], TwoStageFit)
    inputs = FitInputs(dataset=DATA, text=np.zeros((0, 0), dtype=np.float32), seed=0)
    sample = sequence_search._sample(inputs, 0)
    assert 300 <= len(sample.dataset.rows) < 320


@pytest.mark.slow
def test_a_resumed_search_repeats_no_trial_and_comes_to_the_same(tmp_path: Path) -> None:
    plan = replace(PLAN, checkpoints=tmp_path)
    *_, whole = train(plan)
    first = train(plan)
    seen = list[str]()
    while not seen or not seen[-1].startswith("trial 2"):
        seen.append(next(first).fact)
    first.close()
    assert len(list(tmp_path.glob("*-figures.ckpt"))) >= 2
    resumed = list(train(replace(plan, resume=True)))
    assert not any(line.startswith("trial-") for line in lines(iter(resumed))[:2])
    assert resumed[-1].selection.hash == whole.selection.hash


@pytest.mark.slow
@pytest.mark.parametrize(("start", "layers"), [(0.999, 2), (0.5, 1)])
def test_a_size_is_changed_only_for_a_sure_gain(monkeypatch: pytest.MonkeyPatch, start: float, layers: int) -> None:
    """Of one layer every other case gains, and the others lose a little less, or much less."""

    def ranked(source: Any, cases: Any, **_: Any) -> np.ndarray:
        of_one, of_two = np.array([0.9, 0.1]), np.array([0.5, 0.5]) * start
        return np.resize(of_one if len(source._encoder.layers) == 1 else of_two, len(cases))

    monkeypatch.setattr(sequence_search, "ndcg_at_10", ranked)
    *_, fit = train()
    assert fit.selection.config["recipe"]["encoder"]["layers"] == layers
