"""Means of item vectors: bags, weighed by frequency, without what all lists share."""

import numpy as np
import pytest

from recsys.data.dataset import Dataset
from recsys.errors import InvalidRequest
from recsys.retrieval.lists.mean import MEAN, WEIGHTED, MeanConfig, MeanEncoder, fit_mean

RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.normal(size=(50, 16)).astype(np.float32)
LISTS = [RANDOM.integers(0, 50, size=length) for length in (1, 3, 12, 30, 30, 64)]


def dataset() -> Dataset:
    rows = np.concatenate(LISTS)
    starts = np.concatenate([[0], np.cumsum([len(one) for one in LISTS])])
    return Dataset(
        item_ids=tuple(map(str, range(50))),
        texts=("",) * 50,
        users=tuple(map(str, range(len(LISTS)))),
        starts=starts,
        rows=rows,
        at=np.full(len(rows), np.nan),
        folds=np.zeros(len(rows), dtype=np.uint8),
    )


def encoder(config: MeanConfig) -> MeanEncoder:
    return fit_mean(dataset(), VECTORS, config, name="mean")


@pytest.mark.parametrize("config", [MEAN, WEIGHTED])
def test_a_shuffled_list_has_the_same_bits_in_any_batch(config: MeanConfig) -> None:
    fitted = encoder(config)
    for one in LISTS:
        shuffled = fitted.encode([LISTS[0], RANDOM.permutation(one)])[1]
        np.testing.assert_array_equal(shuffled, fitted.encode([one])[0])


def test_the_weighted_mean_is_the_papers_formula() -> None:
    share = np.bincount(np.concatenate(LISTS), minlength=50) / sum(map(len, LISTS))
    weights = 1e-3 / (1e-3 + share)
    naive = np.stack([np.mean([weights[i] * VECTORS[i].astype(np.float64) for i in one], axis=0) for one in LISTS])
    first = np.linalg.svd(naive)[2][0]
    naive -= np.outer(naive @ first, first)
    naive /= np.linalg.norm(naive, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder(WEIGHTED).encode(LISTS), naive, atol=1e-5)


def test_a_large_alpha_is_the_plain_mean() -> None:
    large = encoder(MeanConfig(alpha=1e9)).encode(LISTS)
    assert (large * encoder(MEAN).encode(LISTS)).sum(axis=1).min() > 1 - 1e-6


def test_nothing_is_left_of_the_first_component() -> None:
    fitted = encoder(WEIGHTED)
    assert np.abs(fitted.encode(LISTS) @ fitted.first).max() < 1e-6


def test_a_list_without_a_known_item_has_no_direction() -> None:
    assert not encoder(MEAN).encode([np.array([60, 70]), np.empty(0, dtype=np.int64)]).any()


def test_repeats_count() -> None:
    one, twice = encoder(MEAN).encode([np.array([1, 2]), np.array([1, 1, 2])])
    assert not np.allclose(one, twice)


@pytest.mark.parametrize("config", [MEAN, WEIGHTED])
def test_it_comes_back_from_its_part(config: MeanConfig) -> None:
    fitted = encoder(config)
    again = MeanEncoder.from_part(fitted.part("lists/mean"))
    assert (again.name, again.hash) == ("mean", fitted.hash)
    np.testing.assert_array_equal(again.encode(LISTS), fitted.encode(LISTS))


def test_an_alpha_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="it must be above 0"):
        MeanConfig(alpha=0)
