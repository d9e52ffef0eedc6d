"""Recall of partners, against the loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.metrics.pair_recall import macro, partner_recall


@given(st.integers(0, 200), st.integers(1, 12))
def test_it_matches_the_loop(seed: int, k: int) -> None:
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(20, 4)).astype(np.float32)
    pairs = np.unique(np.sort(generator.permutation(20)[:10].reshape(5, 2), axis=1), axis=0)
    pairs = np.concatenate([pairs, [[pairs[0, 0], 19 if pairs[0, 1] != 19 and pairs[0, 0] != 19 else 18]]])
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    queries, recalls = partner_recall(vectors, pairs, k=k)
    assert queries.tolist() == sorted(set(pairs.ravel().tolist()))
    for query, recall in zip(queries.tolist(), recalls.tolist(), strict=True):
        partners = [b for a, b in pairs.tolist() if a == query] + [a for a, b in pairs.tolist() if b == query]
        order = sorted(
            (row for row in range(20) if row != query), key=lambda row: -float(vectors[query] @ vectors[row])
        )
        assert abs(recall - np.mean([partner in order[:k] for partner in partners])) < 1e-9


def test_some_items_may_ask_for_partners_among_all() -> None:
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 2]]
    queries, recalls = partner_recall(vectors, np.array([[0, 1], [2, 3]]), queries=np.array([1, 3]), k=1)
    assert queries.tolist() == [1, 3]
    assert recalls[0] == 1.0


def test_items_may_ask_with_other_vectors_than_they_are_found_by() -> None:
    vectors = np.eye(4, dtype=np.float32)
    swapped = vectors[[1, 0, 3, 2]]
    assert partner_recall(vectors, np.array([[0, 1], [2, 3]]), query_vectors=swapped, k=1)[1].tolist() == [1.0] * 4
    assert (
        partner_recall(vectors, np.array([[0, 1], [2, 3]]), query_vectors=vectors[[2, 3, 0, 1]], k=1)[1].tolist()
        == [0.0] * 4
    )


@given(st.floats(0, 1), st.integers(1, 9))
def test_the_macro_interval_of_equal_recalls_contains_their_mean(recall: float, domains: int) -> None:
    recalls = macro([np.full(7, recall)] * domains)
    assert recalls.low <= recalls.mean <= recalls.high


def test_every_domain_counts_the_same_in_the_macro_mean() -> None:
    large, small = np.tile([0.0, 1.0], 500), np.ones(3)
    recalls = macro([large, small])
    assert recalls.mean == 0.75
    assert recalls.low < 0.75 < recalls.high
    assert recalls.high - recalls.low < macro([large[:10], small]).high - macro([large[:10], small]).low
