"""Text neighbours: whitened, unit length, the latest event first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.retrieval.text import TextConfig, TextSource, fit_text
from tests.retrieval.worlds import everything, query


def text_source(*, shrink: float = 0.0, decay: float = 0.5, window: int = 20, items: int = 200) -> TextSource:
    generator = np.random.default_rng(0)
    text = generator.standard_normal((items, 6)) @ generator.standard_normal((6, 6)) + 3
    return fit_text(text.astype(np.float32), TextConfig(text_encoder="x", shrink=shrink, decay=decay, window=window))


def test_without_shrinkage_all_directions_count_alike() -> None:
    source = text_source()
    generator = np.random.default_rng(0)
    text = generator.standard_normal((200, 6)) @ generator.standard_normal((6, 6)) + 3
    white = (text - source.mean) @ source.whiten
    np.testing.assert_allclose(np.cov(white, rowvar=False, bias=True), np.eye(6), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(source.vectors, axis=1), 1, rtol=1e-5)


def test_much_shrinkage_only_centres() -> None:
    plain = text_source(shrink=1e6)
    ratio = plain.whiten / plain.whiten[0, 0]
    np.testing.assert_allclose(ratio, np.eye(6), atol=1e-3)


def test_without_whitening_the_vectors_stay_as_they_are() -> None:
    text = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32) + 3
    source = fit_text(text, TextConfig(text_encoder="x", whitening=False))
    np.testing.assert_allclose(source.vectors, text / np.linalg.norm(text, axis=1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(source.whitened(text[:3]), source.vectors[:3], rtol=1e-5)


@given(past=st.lists(st.integers(0, 199), min_size=1, max_size=30), window=st.integers(1, 25))
def test_it_is_the_cosine_with_the_weighted_mean_of_the_latest(past: list[int], window: int) -> None:
    source = text_source(decay=0.8, window=window)
    mean = np.zeros(6)
    for age, row in enumerate(past[::-1][:window]):
        mean += 0.8**age * source.vectors[row].astype(np.float64)
    scores = source.score([query(past, allowed=200)], everything(1, items=200))[0]
    np.testing.assert_allclose(scores, source.vectors @ (mean / np.linalg.norm(mean)), atol=1e-4)


def test_a_new_item_is_whitened_as_the_others_were() -> None:
    source = text_source()
    generator = np.random.default_rng(0)
    text = (generator.standard_normal((200, 6)) @ generator.standard_normal((6, 6)) + 3).astype(np.float32)
    grown = source.with_items(np.array([200]), text[17:18])
    np.testing.assert_allclose(grown.vectors[200], source.vectors[17], rtol=1e-4, atol=1e-6)
    assert len(source.vectors) == 200


@pytest.mark.parametrize("items", [1, 2])
def test_a_tiny_catalogue_has_finite_vectors(items: int) -> None:
    text = np.eye(3, dtype=np.float32)[:items]
    source = fit_text(text, TextConfig(text_encoder="x"))
    assert np.isfinite(source.vectors).all()


def test_items_without_a_text_have_no_neighbours_until_they_have_one() -> None:
    text = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    known = np.array([True, True, False, True, False, True])
    source = fit_text(text, TextConfig(text_encoder="x"), known=known)
    assert np.isnan(source.score([query([0], allowed=6)], everything(1, items=6))[0]).tolist() == (~known).tolist()
    assert (source.search([query([2, 4], allowed=6)], k=6).rows == -1).all()
    grown = source.with_items(np.array([2]), text[[0]])
    assert grown.search([query([0], allowed=6)], k=2).rows[0].tolist() == [0, 2]
    assert not grown.without_texts(np.array([2])).item_text_vectors[2].any()
