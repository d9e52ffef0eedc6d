"""Batches of texts: one domain each, small domains met more often than their size, labels hidden now and then."""

import numpy as np
import pytest

from recsys.data.cooccurrence import Pairs
from recsys.training.item_text.batches import index_pairs, text_batches
from tests.training.item_text.texts import world


def test_a_batch_is_of_one_domain_with_partners_inside() -> None:
    data = world()
    learned = index_pairs(data.pairs, data.domains)
    generator = np.random.default_rng(0)
    for batch in text_batches(learned, texts=12, beside=2, power=0.5, general=0.0, generator=generator):
        rows = learned.rows[batch.members]
        assert {data.domains[row] for row in rows} == {learned.domains[batch.domain]}
        assert len(set(rows.tolist())) == len(rows) <= 12
        together = {tuple(sorted(pair)) for pair in data.pairs.rows.tolist()}
        assert any((a, b) in together for a in rows.tolist() for b in rows.tolist())


def test_small_domains_are_met_by_the_root_of_their_size() -> None:
    big = [(a, a + 1) for a in range(0, 400)]
    small = [(500 + a, 501 + a) for a in range(24)]
    domains = ["big" if row < 450 else "small" for row in range(600)]
    learned = index_pairs(Pairs(np.array(big + small), np.ones(424, dtype=np.int64)), domains)
    generator = np.random.default_rng(0)
    drawn = [
        learned.domains[batch.domain]
        for _ in range(30)
        for batch in text_batches(learned, texts=8, beside=1, power=0.5, general=0.0, generator=generator)
    ]
    assert drawn.count("small") / len(drawn) == pytest.approx(0.2, abs=0.03)  # 5 of 20 + 5


def test_a_share_of_the_batches_hides_its_label() -> None:
    learned = index_pairs(world().pairs, world().domains)
    generator = np.random.default_rng(0)
    hidden = [
        batch.general
        for _ in range(60)
        for batch in text_batches(learned, texts=12, beside=1, power=0.5, general=0.1, generator=generator)
    ]
    assert np.mean(hidden) == pytest.approx(0.1, abs=0.03)
