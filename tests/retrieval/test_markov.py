"""Successors and neighbours, counted one pair at a time."""

from collections import Counter
from math import sqrt

import numpy as np
import pytest

from recsys.retrieval.markov import MarkovConfig, fit_markov
from recsys.retrieval.neighbours import NeighboursConfig, fit_neighbours
from recsys.retrieval.popular import PopularConfig, fit_popular
from tests.training.planted import dataset

DATA = dataset(users=40)


@pytest.mark.parametrize("reach", [1, 3])
def test_successors_weigh_one_over_their_distance(reach: int) -> None:
    counted: Counter[tuple[int, int]] = Counter()
    for history in DATA.histories():
        rows = history.rows.tolist()
        for i, before in enumerate(rows):
            for gap in range(1, reach + 1):
                if i + gap < len(rows) and rows[i + gap] != before:
                    counted[before, rows[i + gap]] += 1 / gap  # type: ignore[assignment]
    out = Counter[int]()
    for (before, _), weight in counted.items():
        out[before] += weight
    popular = DATA.counts()
    matrix = fit_markov(DATA, MarkovConfig(reach=reach, shrink=2.0, popularity=0.3)).matrix.toarray()
    for before in range(DATA.items):
        for after in range(DATA.items):
            weight = counted[before, after] / (out[before] + 2.0) * max(popular[after], 1) ** -0.3
            assert matrix[before, after] == pytest.approx(weight, rel=1e-4)


def test_neighbours_are_a_shrunk_cosine_the_nearest_kept() -> None:
    sets = [set(history.rows.tolist()) for history in DATA.histories()]
    matrix = fit_neighbours(DATA, NeighboursConfig(keep=4, shrink=3.0)).matrix.toarray()
    for one in range(DATA.items):
        similar = []
        for other in range(DATA.items):
            both = sum(one in mine and other in mine for mine in sets)
            alone = [sum(item in mine for mine in sets) for item in (one, other)]
            similar.append(0 if one == other else both / (sqrt(alone[0] * alone[1]) + 3.0))
        columns = np.flatnonzero(matrix[one])
        assert len(columns) == 4
        np.testing.assert_allclose(matrix[one, columns], np.array(similar)[columns], rtol=1e-5)
        assert min(np.array(similar)[columns]) >= sorted(similar)[-4] - 1e-9


def test_popular_counts_events_and_recent_the_last_of_each_history() -> None:
    counts = np.zeros(DATA.items)
    late = np.zeros(DATA.items)
    for history in DATA.histories():
        np.add.at(counts, history.rows, 1)
        np.add.at(late, history.rows[-3:], 1)
    np.testing.assert_allclose(fit_popular(DATA, PopularConfig()).scores, np.log1p(counts), rtol=1e-6)
    np.testing.assert_allclose(fit_popular(DATA, PopularConfig(share=0.25)).scores, np.log1p(late), rtol=1e-6)
