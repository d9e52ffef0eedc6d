"""Collaborative scores reach items without events through their text neighbours."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from recsys.bundle import Part
from recsys.data.dataset import Dataset
from recsys.errors import BundleError
from recsys.retrieval import imputed
from recsys.retrieval.imputed import ImputedConfig, ImputedSource, fit_imputed
from recsys.retrieval.registry import restore_source
from tests.retrieval.worlds import drawn, histories, query

CONFIG = ImputedConfig(text_encoder="hashed", reach=2, shrink=3.0, neighbours=3, temperature=0.2, decay=0.5, window=4)
TEXTLESS, NEW = 2, 11


def data() -> tuple[Dataset, NDArray[np.float32]]:
    """Random histories of 12 items, of which `NEW` has no events, and `TEXTLESS` no text."""
    generator = np.random.default_rng(3)
    texts = tuple("" if row == TEXTLESS else f"item {row}" for row in range(12))
    vectors = generator.normal(size=(12, 5)).astype(np.float32)
    return replace(drawn(generator), texts=texts), vectors


def naive(dataset: Dataset, text: NDArray[np.float32], history: list[int]) -> np.ndarray:
    """h' G S N' in loops and float64."""
    items = dataset.items
    pairs, unit = np.zeros((items, items)), text / np.linalg.norm(text, axis=1, keepdims=True)
    for one in dataset.histories():
        for i, first in enumerate(one.rows):
            for gap, second in enumerate(one.rows[i + 1 : i + 1 + CONFIG.reach], start=1):
                if first != second:
                    pairs[first, second] += 1 / gap
                    pairs[second, first] += 1 / gap
    shares = pairs / (pairs.sum(axis=1, keepdims=True) + CONFIG.shrink)
    stand = np.zeros((items, items))
    for item in np.flatnonzero(dataset.has_text):
        others = [row for row in np.flatnonzero(dataset.has_events & dataset.has_text) if row != item]
        nearest = sorted(others, key=lambda row: -unit[item] @ unit[row])[: CONFIG.neighbours]
        weights = np.exp([unit[item] @ unit[row] / CONFIG.temperature for row in nearest])
        stand[item, nearest] = weights / weights.sum()
    speak = np.where(dataset.has_events[:, None], np.eye(items), stand)
    weights = np.zeros(items)
    for age, row in enumerate(reversed(history[-CONFIG.window :])):
        weights[row] += CONFIG.decay**age
    return weights @ speak @ shares @ stand.T


@pytest.mark.parametrize("history", [[0], [3, 4, 5, 1, 0, 7], [NEW], [TEXTLESS, NEW, 3]])
def test_it_is_the_formula(history: list[int]) -> None:
    dataset, text = data()
    scores = fit_imputed(dataset, text, CONFIG).score([query(history, allowed=12)], np.arange(12)[None])[0]
    assert np.flatnonzero(np.isnan(scores)).tolist() == [TEXTLESS]
    expected = naive(dataset, text, history)
    np.testing.assert_allclose(np.delete(scores, TEXTLESS), np.delete(expected, TEXTLESS), rtol=1e-4, atol=1e-6)


def test_an_item_with_events_is_scored_by_others_alone_as_a_new_one_is() -> None:
    """Else a fusion would learn on validation, where it scores items with events, what new items do not have."""
    always_next = histories([0, 1], [0, 1], [0, 1], [2, 3], items=4)
    dataset = replace(always_next, texts=("a", "b", "c", "d"))
    text = np.eye(4, dtype=np.float32)
    text[1] = text[3] + 0.1
    one_neighbour = replace(CONFIG, neighbours=1)
    scores = fit_imputed(dataset, text, one_neighbour).score([query([0], allowed=4)], np.array([[1, 3]]))[0]
    assert scores[0] == 0
    assert scores[1] > 0


def test_the_items_of_most_events_stand_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, text = data()
    monkeypatch.setattr(imputed, "MAX_NEIGHBOURS", 4)
    rows = fit_imputed(dataset, text, CONFIG).part("imputed").arrays["neighbour_rows"]
    counts = np.where(dataset.has_text, dataset.counts(), 0)
    assert rows.tolist() == sorted(np.argsort(-counts, kind="stable")[:4].tolist())


def test_an_item_written_later_counts_as_one_that_the_training_had_without_events() -> None:
    dataset, text = data()
    known = fit_imputed(dataset, text, CONFIG)
    before = replace(dataset, item_ids=dataset.item_ids[:11], texts=dataset.texts[:11])
    later = fit_imputed(before, text[:11], CONFIG).with_items(np.array([11]), text[[11]])
    queries = [query([0, 3], allowed=12), query([11], allowed=12)]
    rows = np.tile(np.arange(12), (2, 1))
    np.testing.assert_allclose(later.score(queries, rows), known.score(queries, rows), rtol=1e-5)
    assert 11 in later.search(queries[:1], k=12).rows


def test_a_new_text_moves_its_item_alone() -> None:
    dataset, text = data()
    source, queries, rows = fit_imputed(dataset, text, CONFIG), [query([0, 3], allowed=12)], np.arange(12)[None]
    changed = source.with_items(np.array([5, NEW]), -text[[5, NEW]])
    moved = ~np.isclose(changed.score(queries, rows)[0], source.score(queries, rows)[0], equal_nan=True)
    assert np.flatnonzero(moved).tolist() == [5, NEW]
    silent = source.without_texts(np.array([5, NEW, 99])).score(queries, rows)[0]
    assert np.flatnonzero(np.isnan(silent)).tolist() == [TEXTLESS, 5, NEW]


def test_without_a_text_among_items_with_events_new_items_are_unknown() -> None:
    textless = histories([0, 1, 0], items=3)
    source = fit_imputed(replace(textless, texts=("", "", "a text")), np.eye(3, dtype=np.float32), CONFIG)
    scores = source.score([query([0], allowed=3)], np.arange(3)[None])[0]
    assert np.isnan(scores).all()


def test_a_part_whose_neighbours_are_no_items_is_refused() -> None:
    dataset, text = data()
    part = fit_imputed(dataset, text, CONFIG).part("imputed")
    assert isinstance(restore_source(part), ImputedSource)
    for name, value in (("neighbour_rows", np.array([*range(9), 12])), ("neighbour_vectors", text[:3])):
        broken = Part(name="imputed", kind="imputed", config=part.config, arrays=part.arrays | {name: value})
        with pytest.raises(BundleError, match="part 'imputed' does not fit its settings"):
            restore_source(broken)
