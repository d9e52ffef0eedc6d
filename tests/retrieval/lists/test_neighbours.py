"""Neighbour lists against the formula, list by list."""

import numpy as np
import pytest

from recsys.retrieval.lists.neighbours import ListNeighbours, ListNeighboursConfig, fit_list_neighbours
from tests.retrieval.lists.worlds import ITEMS, LISTS, list_query, playlists


@pytest.mark.parametrize(("count", "power", "rarity"), [(2, 1.0, 1.0), (5, 2.0, 0.5), (4, 3.0, 0.0)])
def test_an_item_gets_the_similarities_of_the_nearest_lists_that_hold_it(
    count: int, power: float, rarity: float
) -> None:
    config = ListNeighboursConfig(lists=count, power=power, rarity=rarity)
    source = fit_list_neighbours(playlists().data, config)
    members = np.zeros((len(LISTS), ITEMS))
    for row, one in zip(members, LISTS.values(), strict=True):
        row[one] = 1
    weights = np.where(members.any(axis=0), np.log(6 / np.maximum(members.sum(axis=0), 1)) ** rarity, 0)
    query = np.where(np.isin(np.arange(ITEMS), [0, 3]), weights, 0)
    similarity = (members * weights) @ query / np.linalg.norm(members * weights, axis=1)
    nearest = np.argsort(-similarity, kind="stable")[:count]
    assert count == len(LISTS) or similarity[nearest[-1]] > np.sort(similarity)[-count - 1]  # else either may count
    naive = similarity[nearest] ** power @ members[nearest]
    np.testing.assert_allclose(source.sparse_scores([list_query(None, [3, 0, 3])]).toarray()[0], naive, rtol=1e-5)
    again = ListNeighbours.from_part(source.part("x"))
    np.testing.assert_array_equal(
        again.sparse_scores([list_query(None, [7])]).toarray(), source.sparse_scores([list_query(None, [7])]).toarray()
    )


def test_a_list_of_unknown_items_has_no_neighbours() -> None:
    source = fit_list_neighbours(playlists().data, ListNeighboursConfig())
    assert not source.sparse_scores([list_query("Road trip"), list_query(None, [2])]).nnz
