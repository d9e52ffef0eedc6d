"""Settings are compared by exact scores, and what takes long says how far it is."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from math import log
from typing import Any

import numpy as np
import pytest

from recsys import pace
from recsys.data.splits import split_by_fold
from recsys.indexes import build
from recsys.indexes.hnsw import HnswIndex, build_hnsw
from recsys.metrics.ranking import PerCase
from recsys.pace import result_of
from recsys.retrieval.dense import DenseSource
from recsys.retrieval.registry import TYPES, restore_source
from recsys.retrieval.search_space import DECAY, Axis, Catalogue, SearchSpace
from recsys.training.climbing import Chosen, Climb
from recsys.training.plan import Plan, Progress
from recsys.training.recipe_types import HistoryInputs, TwoStageFit
from recsys.training.recipes import RECIPES, refit_part
from recsys.training.svd_init import svd_embeddings
from recsys.training.tuning import FitInputs
from tests.training.planted import dataset

DATA = dataset()
PLAN = Plan(text_encoder="hashed", include_seen=False)


def text() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((DATA.items, 8)).astype(np.float32)


def train(name: str, plan: Plan = PLAN, vectors: np.ndarray | None = None) -> Iterator[Any]:
    inputs = HistoryInputs(folds=split_by_fold(DATA), text=text() if vectors is None else vectors)
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
    assert facts[0] == "choosing settings on validation"
    assert facts[1].startswith("1 settings compared, validation NDCG@10 0.")
    assert sum("settings compared" in fact for fact in facts) > 10


@dataclass(frozen=True)
class Toy:
    """`decay` is of query time, the others need a fit."""

    ridge: float = 100.0
    depth: int = 4
    decay: float = 0.7
    is_whitened: bool = True


SPACE = SearchSpace(
    Toy(),
    (
        Axis("ridge", (50.0, 100.0, 200.0), "log", low=0.5, high=1e4),
        Axis("depth", (2, 4), "log", low=1, high=64),
        Axis("is_whitened", (False, True)),
        DECAY,
    ),
    max_fits=40,
)


def climbed(figure: Callable[[Toy], float | PerCase], space: SearchSpace = SPACE) -> tuple[Chosen, list[Toy]]:
    """What the search chooses, and all that it compared."""
    compared = list[Toy]()

    def counted(config: Toy) -> Generator[Progress, None, PerCase]:
        compared.append(config)
        yield Progress("toy", str(config))
        return np.atleast_1d(figure(config))

    return result_of(Climb(space, counted, query_time={"decay": 1.0}).run()), compared


def distance(config: Toy, *, ridge: float, depth: int, decay: float) -> float:
    steps = [
        log(config.ridge / ridge),
        log(config.depth / depth),
        log(config.decay * (1 - decay) / decay / (1 - config.decay)),
    ]
    return -sum(step**2 for step in steps) - config.is_whitened


@pytest.mark.parametrize(("ridge", "depth", "decay"), [(6.25, 16, 0.2), (1600.0, 2, 0.9758), (100.0, 4, 0.7)])
def test_an_optimum_beyond_the_first_values_is_reached(ridge: float, depth: int, decay: float) -> None:
    chosen, compared = climbed(lambda config: distance(config, ridge=ridge, depth=depth, decay=decay))
    assert chosen.config.ridge == pytest.approx(ridge)
    assert (chosen.config.depth, chosen.config.is_whitened) == (depth, False)
    assert chosen.config.decay == pytest.approx(decay, abs=0.04)
    assert chosen.edges == ()
    assert len(compared) == len(set(compared)) == chosen.compared


def test_settings_of_query_time_share_a_fit() -> None:
    chosen, compared = climbed(lambda config: distance(config, ridge=25.0, depth=8, decay=0.5))
    fits = [(config.ridge, config.depth, config.is_whitened) for config in compared]
    assert chosen.fits == len(set(fits)) == sum(1 for _ in groupby(fits))


def test_what_the_search_could_not_go_beyond_is_said() -> None:
    chosen, _ = climbed(lambda config: distance(config, ridge=0.01, depth=1, decay=0.7))
    assert chosen.edges == ("ridge=0.5", "depth=1")
    assert str(chosen).endswith("at the edge of what is tried: ridge=0.5, depth=1")
    few, compared = climbed(lambda config: -config.ridge, replace(SPACE, max_fits=3))
    assert len({replace(config, decay=1.0) for config in compared}) == 3
    assert few.edges == ("ridge=50.0", "depth=4", "is_whitened=True")


def test_a_step_is_taken_for_more_than_the_standard_error_of_its_gain() -> None:
    chance = np.random.default_rng(0).choice([-1.0, 1.0], 100)

    def figure(gain: float) -> Callable[[Toy], PerCase]:
        return lambda config: np.where(config.ridge > 200, gain + chance, 0.0) + 0.01 * (config.ridge == 200)

    unsure, _ = climbed(figure(0.05 - chance.mean()))
    sure, _ = climbed(figure(0.2 - chance.mean()))
    assert (unsure.config.ridge, sure.config.ridge) == (200.0, 400.0)


def test_equal_settings_leave_the_first() -> None:
    chosen, _ = climbed(lambda _: 0.0)
    assert (chosen.config, chosen.edges) == (Toy(), ())


def test_settings_of_the_user_are_not_searched() -> None:
    plan = replace(PLAN, overrides={"ease": {"ridge": 7.0}})
    *_, line, _, fit = train("ease", plan)
    assert "ridge=7.0" in line.fact
    assert " in 1 fits" in line.fact
    assert fit.refit.config["fit"]["ease"]["ridge"] == 7.0


@pytest.mark.parametrize("items", [100, 100_000])
@pytest.mark.parametrize("name", [name for name, row in TYPES.items() if row.search_space])
def test_every_value_that_a_search_can_come_to_is_one_that_the_source_takes(name: str, items: int) -> None:
    space = TYPES[name].space(Catalogue(items, "hashed"))
    for axis in space.axes:
        smallest, largest = axis.values[0], axis.values[-1]
        for _ in range(30):
            smallest, largest = min(smallest, *axis.neighbours(smallest)), max(largest, *axis.neighbours(largest))
        assert {smallest, largest} <= {axis.low, axis.high, *axis.values}
        for end in (smallest, largest):
            assert getattr(replace(space.start, **{axis.setting: end}), axis.setting) == end


@pytest.mark.parametrize(("signal", "noise", "whitening"), [(3.0, 0.3, False), (0.3, 3.0, True)])
def test_texts_are_whitened_where_that_helps(signal: float, noise: float, *, whitening: bool) -> None:
    """Long noise hides a short signal until all directions are equally long; short noise is let out by it."""
    generator = np.random.default_rng(0)
    clusters = svd_embeddings(split_by_fold(DATA).fit, dim=3, seed=0)
    vectors = np.hstack([signal * clusters, noise * generator.standard_normal((DATA.items, 4 if whitening else 20))])
    *_, fit = train("text", vectors=vectors.astype(np.float32))
    assert fit.refit.config["whitening"] is whitening
