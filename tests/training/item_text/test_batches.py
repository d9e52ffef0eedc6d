"""Batches of texts: one domain each, small domains sampled beyond their size, labels hidden in a share of batches."""

import numpy as np
import pytest

from recsys.data.cooccurrence import Pairs
from recsys.training.item_text.batches import index_pairs, text_batches
from tests.training.item_text.texts import world


def test_a_batch_is_of_one_domain_with_partners_inside() -> None:
    data = world()
    index = index_pairs(data.pairs, data.domains)
    generator = np.random.default_rng(0)
    for batch in text_batches(
        index, batch_size=12, positives_per_anchor=2, domain_sampling_power=0.5, label_dropout=0.0, generator=generator
    ):
        rows = index.rows[batch.members]
        assert {data.domains[row] for row in rows} == {index.domains[batch.domain]}
        assert len(set(rows.tolist())) == len(rows) <= 12
        together = {tuple(sorted(pair)) for pair in data.pairs.rows.tolist()}
        assert any((a, b) in together for a in rows.tolist() for b in rows.tolist())


def test_small_domains_are_met_by_the_root_of_their_size() -> None:
    big = [(a, a + 1) for a in range(0, 400)]
    small = [(500 + a, 501 + a) for a in range(24)]
    domains = ["big" if row < 450 else "small" for row in range(600)]
    index = index_pairs(Pairs(np.array(big + small), np.ones(424, dtype=np.int64)), domains)
    generator = np.random.default_rng(0)
    sampled = [
        index.domains[batch.domain]
        for _ in range(30)
        for batch in text_batches(
            index,
            batch_size=8,
            positives_per_anchor=1,
            domain_sampling_power=0.5,
            label_dropout=0.0,
            generator=generator,
        )
    ]
    assert sampled.count("small") / len(sampled) == pytest.approx(0.2, abs=0.03)  # 5 of 20 + 5


def test_a_share_of_the_batches_hides_its_label() -> None:
    index = index_pairs(world().pairs, world().domains)
    generator = np.random.default_rng(0)
    hidden = [
        batch.general
        for _ in range(60)
        for batch in text_batches(
            index,
            batch_size=12,
            positives_per_anchor=1,
            domain_sampling_power=0.5,
            label_dropout=0.1,
            generator=generator,
        )
    ]
    assert np.mean(hidden) == pytest.approx(0.1, abs=0.03)
