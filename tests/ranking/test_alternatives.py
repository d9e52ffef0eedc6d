"""Several lists out of one set of scores: the greedy rule by hand, and what each penalty does."""

import numpy as np

from recsys.ranking.alternatives import alternatives

SCORES = np.array([5, 4, 3, 2, 1, 0], dtype=np.float32)
GROUPS = np.array([0, 0, 0, 1, -1, -1], dtype=np.int64)


def lists(*, count: int = 3, length: int = 2, strength: float = 0.0, same_group: float = 0.0) -> list[list[int]]:
    found = alternatives(SCORES, GROUPS, count=count, length=length, strength=strength, same_group=same_group)
    return [one.tolist() for one in found]


def test_without_penalties_all_are_the_best() -> None:
    assert lists() == [[0, 1]] * 3


def test_an_item_loses_for_each_earlier_list_that_holds_it() -> None:
    assert lists(strength=100) == [[0, 1], [2, 3], [4, 5]]
    assert lists(strength=1.5) == [[0, 1], [0, 2], [1, 0]]  # 5 4 3, then 3.5 2.5 3, then 2 2.5 1.5


def test_an_item_loses_for_each_earlier_one_of_its_group_and_none_where_it_has_no_group() -> None:
    assert lists(count=1, length=4, same_group=100) == [[0, 3, 4, 5]]
    assert lists(count=1, length=3, same_group=1.5) == [[0, 1, 3]]  # 3.5 2.5 2 1, then 1 2 1


def test_where_candidates_run_out_lists_are_shorter() -> None:
    assert [len(one) for one in lists(length=10, same_group=1)] == [6, 6, 6]
