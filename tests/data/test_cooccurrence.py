"""Pairs are what several lists have near each other, within one domain."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError
from recsys.data.cooccurrence import Pairs, PairsConfig, mine_pairs, neighbours, split_items

ITEMS = 8
DOMAINS = ["x", "x", "x", "x", "x", "y", "y", None]
FREE = PairsConfig(window=2, lists=2, most=1000, domain_most=1000)


def flat(lists: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    rows = np.array([row for rows_of_list in lists for row in rows_of_list], dtype=np.int64)
    return rows, np.array([owner for owner, rows_of_list in enumerate(lists) for _ in rows_of_list], dtype=np.int64)


def naive(lists: Sequence[Sequence[int]], config: PairsConfig) -> dict[tuple[int, int], int]:
    """List by list, place by place."""
    counts: Counter[tuple[int, int]] = Counter()
    for rows_of_list in lists:
        pairs_of_list = set()
        for i, a in enumerate(rows_of_list):
            for b in rows_of_list[i + 1 : i + 1 + config.window]:
                if a != b and DOMAINS[a] == DOMAINS[b]:
                    pairs_of_list.add((min(a, b), max(a, b)))
        counts.update(pairs_of_list)
    return {pair: count for pair, count in counts.items() if count >= config.lists}


@given(st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=7), max_size=6))
def test_it_matches_the_loop_over_places(lists: list[list[int]]) -> None:
    mined = mine_pairs(*flat(lists), domains=DOMAINS, config=FREE)
    assert dict(zip(map(tuple, mined.rows.tolist()), mined.counts.tolist(), strict=True)) == naive(lists, FREE)


def test_an_item_keeps_its_best_pairs() -> None:
    lists = [[0, 1]] * 9 + [[0, 2]] * 2 + [[3, 4]] * 3 + [[0, 3]] * 2
    mined = mine_pairs(*flat(lists), domains=DOMAINS, config=PairsConfig(window=1, lists=2, most=1))
    assert mined.rows.tolist() == [[0, 1], [3, 4]]


def test_an_item_with_many_partners_on_either_side_keeps_no_more_than_others() -> None:
    hub, most = 4, 2
    lists = [[hub, other] for other in (0, 1, 2, 3, 5, 6, 7, 8) for _ in range(3)]
    mined = mine_pairs(*flat(lists), domains=["x"] * 9, config=PairsConfig(window=1, lists=2, most=most))
    assert (mined.rows == hub).any(axis=1).sum() == most


def test_a_domain_keeps_its_best_pairs() -> None:
    lists = [[0, 1]] * 9 + [[2, 3]] * 3 + [[5, 6]] * 2
    mined = mine_pairs(*flat(lists), domains=DOMAINS, config=PairsConfig(lists=2, domain_most=1))
    assert len(mined) == 2
    assert [5, 6] in mined.rows.tolist()


def test_no_pair_that_is_learned_has_an_item_held_out() -> None:
    generator = np.random.default_rng(0)
    pairs = Pairs(np.sort(generator.choice(60, size=(300, 2)), axis=1), np.ones(300, dtype=np.int64))
    learned, held_out = split_items(pairs, items=100, share=0.3, seed=0)
    assert not (learned & held_out).any()
    assert learned.sum() + held_out.sum() == len(np.unique(pairs.rows))
    assert held_out.sum() == round(0.3 * len(np.unique(pairs.rows)))
    assert not held_out[pairs.both_in(learned).rows].any()
    assert held_out[pairs.both_in(held_out).rows].all()
    assert len(pairs.any_in(held_out)) == 300 - len(pairs.both_in(learned))
    assert (split_items(pairs, items=100, share=0.3, seed=0)[1] == held_out).all()
    assert (split_items(pairs, items=100, share=0.3, seed=1)[1] != held_out).any()


def test_partners_are_known_from_both_ends() -> None:
    mined = neighbours(Pairs(np.array([[0, 2], [1, 2]]), np.array([1, 1])), items=4)
    assert [partners.tolist() for partners in mined] == [[2], [2], [0, 1], []]


def test_settings_below_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        PairsConfig(window=0)
