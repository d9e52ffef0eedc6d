"""Several lists out of one set of scores: the rule by hand, beam search over the same scores, and what each penalty does."""

from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.decoders.beam import beam_search
from models.decoders.constraints import DecodingConstraints
from models.decoders.diverse_beam import diverse_beam_search
from recsys.ranking.diversity import alternatives
from recsys.retrieval.lists.encoder import DecodingConfig

SCORES = np.array([5, 4, 3, 2, 1, 0], dtype=np.float32)
GROUPS = np.array([0, 0, 0, 1, -1, -1], dtype=np.int64)
THREE = DecodingConfig(length=2, alternatives=3, strength=0.0)


def lists(wanted: DecodingConfig) -> list[list[int]]:
    return [one.tolist() for one in alternatives(SCORES, GROUPS, wanted)]


def test_an_item_loses_for_each_earlier_list_that_holds_it() -> None:
    assert lists(replace(THREE, strength=100)) == [[0, 1], [2, 3], [4, 5]]
    assert lists(replace(THREE, strength=1.5)) == [[0, 1], [0, 2], [1, 3]]  # 5 4 3, then 3.5 2.5 3, then 2 2.5 1.5 2


@pytest.mark.parametrize("strength", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_there_are_as_many_lists_as_asked_for_whatever_the_strength_and_no_two_of_the_same_items(
    strength: float, length: int
) -> None:
    found = lists(DecodingConfig(length=length, alternatives=6, strength=strength))
    assert len({frozenset(items) for items in found}) == 6
    assert all(len(items) == length for items in found)


@given(seed=st.integers(0, 200), length=st.integers(1, 4), most=st.none() | st.integers(1, 2))
def test_without_strength_they_are_the_sets_of_highest_score(seed: int, length: int, most: int | None) -> None:
    generator = np.random.default_rng(seed)
    scores, groups = generator.normal(size=7).astype(np.float32), generator.integers(-1, 2, size=7)
    config = DecodingConfig(length=length, alternatives=5, strength=0.0, most_of_group=most)
    possible = [
        items
        for items in combinations(range(7), length)
        if most is None or max(Counter(groups[i] for i in items if groups[i] >= 0).values(), default=0) <= most
    ]
    ranked = sorted(possible, key=lambda items: -float(scores[list(items)].sum()))
    assert [tuple(sorted(items.tolist())) for items in alternatives(scores, groups, config)][: len(ranked)] == ranked[
        :5
    ]


def test_lists_of_all_there_is_are_one() -> None:
    assert [sorted(items) for items in lists(DecodingConfig(length=6, alternatives=3, strength=0.0))] == [
        [0, 1, 2, 3, 4, 5]
    ]


def test_an_item_loses_for_each_earlier_one_of_its_group_and_none_where_it_has_no_group() -> None:
    one = replace(THREE, alternatives=1)
    assert lists(replace(one, length=4, same_group=100)) == [[0, 3, 4, 5]]
    assert lists(replace(one, length=3, same_group=1.5)) == [[0, 1, 3]]  # 3.5 2.5 2 1, then 1 2 1


@pytest.mark.parametrize(("most", "found"), [(1, [0, 3, 4, 5]), (2, [0, 1, 3, 4]), (3, [0, 1, 2, 3])])
def test_of_one_group_there_are_no_more_than_may_be(most: int, found: list[int]) -> None:
    one = replace(THREE, alternatives=1, length=4, most_of_group=most)
    assert lists(one) == [found]
    assert lists(replace(one, length=6))[0][:4] == found
    assert len(lists(replace(one, length=6))[0]) == 3 + most


def test_where_candidates_run_out_lists_are_shorter() -> None:
    assert [len(one) for one in lists(replace(THREE, length=10, same_group=1))] == [6]
    assert alternatives(SCORES[:0], GROUPS[:0], THREE) == []


class Unconditioned:
    """A writer to which what is written makes no difference."""

    def __init__(self, scores: Tensor) -> None:
        self.log_p = scores.log_softmax(0)[None]

    def start(self) -> tuple[None, Tensor]:
        return None, self.log_p

    def step(self, state: None, written: Tensor) -> tuple[None, Tensor]:
        return state, self.log_p.expand(len(written), -1)

    def select(self, state: None, rows: Tensor) -> None:  # noqa: ARG002  (there is no state)
        return state


@given(
    seed=st.integers(0, 500),
    length=st.integers(1, 6),
    width=st.integers(1, 4),
    strength=st.floats(0.1, 5),
    same_group=st.floats(0, 3),
    most=st.none() | st.integers(1, 3),
)
def test_beam_search_over_scores_that_nothing_conditions_finds_the_same(
    seed: int, length: int, width: int, strength: float, same_group: float, most: int | None
) -> None:
    """A beam of any width for the first list; for later ones groups of one beam, which keep away from what earlier ones hold."""
    generator = np.random.default_rng(seed)
    scores, groups = generator.normal(size=12).astype(np.float32), generator.integers(-1, 3, size=12)
    rules = DecodingConstraints(
        allowed=torch.ones(12, dtype=torch.bool),
        group=torch.from_numpy(groups),
        same_group=same_group,
        most_of_group=most,
    )
    writer = Unconditioned(torch.from_numpy(scores).double())
    wanted = DecodingConfig(
        length=length, alternatives=3, strength=strength, same_group=same_group, most_of_group=most, width=width
    )
    mine = [sorted(one.tolist()) for one in alternatives(scores, groups, wanted)]
    assert mine[0] == sorted(beam_search(writer, length=length, width=width, constraints=rules).items[0].tolist())
    found = diverse_beam_search(writer, length=length, groups=3, width=1, strength=strength, constraints=rules)
    theirs = [sorted(beams.items[0].tolist()) for beams in found]
    first_again = next((i for i, one in enumerate(theirs) if one in theirs[:i]), len(theirs))
    assert (
        mine[:first_again] == theirs[:first_again]
    )  # where groups of one beam repeat a list, the next best one stands
