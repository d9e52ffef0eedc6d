"""Lists found by what they hold: the words of their items, and what a name makes one guess."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.data.playlists import Playlists
from recsys.errors import InvalidRequest
from recsys.retrieval.lists import name_regression
from recsys.retrieval.lists.name_neighbours import NameNeighbours, NameNeighboursConfig, fit_name_neighbours
from recsys.retrieval.lists.name_regression import NameToContent, features, fit_name_to_content
from recsys.retrieval.lists.tfidf import item_text_tfidf, name_tfidf
from recsys.retrieval.lists.words import ngrams, word_bags
from recsys.retrieval.neighbours import interactions
from tests.retrieval.lists.worlds import list_query, playlists

SEASONS = {
    "summer one": [0, 1, 2],
    "summer two": [0, 1, 2, 3],
    "summer three": [0, 1, 3],
    "summer odd": [4, 5, 6],
    "winter one": [4, 5, 6, 7],
    "winter two": [4, 5, 7],
    "winter three": [5, 6, 7],
    "winter four": [4, 6, 7],
}


def with_item_texts(lists: Playlists) -> Playlists:
    """The same with texts: items 0 to 2 speak of a lute, one of them also of rain."""
    texts = ("lute song", "lute song", "lute rain", "song", "song", "song", "song", "song")
    return replace(lists, data=replace(lists.data, texts=texts))


def fitted(lists: Playlists) -> NameToContent:
    words, names = name_tfidf(lists.names).vectors, ngrams(lists.names)
    return fit_name_to_content(
        interactions(lists.data), names=names, words=words, name_vectors=lists.name_vectors, shares=lists.shares()
    )


def test_a_list_is_found_by_the_words_of_its_items_though_it_is_called_otherwise() -> None:
    lists = with_item_texts(playlists())
    source = fit_name_neighbours(lists, NameNeighboursConfig())
    assert set(source.sparse_scores([list_query("lute")]).indices) == {0, 1, 3, 7}  # road trips and driving hold a lute
    assert not fit_name_neighbours(lists, NameNeighboursConfig(told=0)).sparse_scores([list_query("lute")]).nnz
    assert not source.sparse_scores([list_query(None)]).nnz


def test_words_of_items_weigh_the_root_of_their_share_and_their_rarity() -> None:
    lists = with_item_texts(playlists({"a": [0, 1, 3], "b": [2], "c": [3, 4], "d": [0, 2, 3, 4]}))
    bags, asking = item_text_tfidf(interactions(lists.data), lists.data.texts), ["Lute, rain?", "unheard of"]
    members = interactions(lists.data).toarray()
    shares = members / members.sum(axis=1, keepdims=True) @ word_bags(lists.data.texts).toarray()
    rarity = np.log(5 / np.maximum((shares > 0).sum(axis=0), 1)) * (shares > 0).any(axis=0)
    stored, query = np.sqrt(shares) * rarity, word_bags(asking).toarray() * rarity
    naive = query @ stored.T / (np.linalg.norm(stored, axis=1) * max(np.linalg.norm(query[0]), 1e-9))
    np.testing.assert_allclose(bags.cosines(bags.unit(asking)), naive, rtol=1e-5)


def test_of_lists_with_like_names_those_count_more_that_hold_what_such_names_stand_for() -> None:
    lists = playlists(SEASONS)
    with_, without = (
        fit_name_neighbours(lists, NameNeighboursConfig(guess=weight))
        .sparse_scores([list_query("summer")])
        .toarray()[0]
        for weight in (1, 0)
    )
    assert with_[0] > without[0]
    assert with_[5] < without[5]


@pytest.mark.slow
@pytest.mark.parametrize("with_vectors", [False, True])
@pytest.mark.parametrize("block", [3, 100])
def test_the_guess_is_ridge_regression_to_the_contents(
    monkeypatch: pytest.MonkeyPatch, block: int, *, with_vectors: bool
) -> None:
    monkeypatch.setattr(name_regression, "LISTS_PER_BLOCK", block)
    vectors = np.random.default_rng(0).normal(size=(len(SEASONS) + 1, 4)).astype(np.float32) if with_vectors else None
    lists = replace(playlists(SEASONS | {"summer again": [0, 1, 3]}), name_vectors=vectors)  # a copy
    regression = fitted(lists)
    shares = lists.shares().astype(np.float64)
    assert sorted(shares) == [0.5] * 2 + [1] * 7
    np.testing.assert_allclose(np.linalg.norm(regression.contents, axis=1), 1, rtol=1e-5)
    x = features(ngrams(lists.names), name_tfidf(lists.names).vectors, lists.name_vectors).astype(np.float64)
    scaled = np.sqrt(shares)[:, None]
    rows = np.vstack(
        [scaled * x, np.sqrt(name_regression.RIDGE) * np.eye(x.shape[1])]
    )  # ridge as least squares with more rows
    naive = np.linalg.lstsq(
        rows, np.vstack([scaled * regression.contents, np.zeros((x.shape[1], regression.contents.shape[1]))])
    )[0]
    np.testing.assert_allclose(regression.weights, naive, atol=1e-4)
    aimed = x @ naive
    cosines = aimed @ regression.contents.T / np.linalg.norm(aimed, axis=1, keepdims=True)
    np.testing.assert_allclose(regression.cosines(x.astype(np.float32)), cosines, atol=1e-3)


def test_contents_are_alike_where_lists_share_items_and_many_lists_are_taken_apart_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lists = playlists(SEASONS)
    whole = fitted(lists).contents
    alike = whole @ whole.T
    members = interactions(lists.data).toarray()
    counts = members.sum(axis=0)
    naive = (members * np.log(9 / np.maximum(counts, 1)) ** name_regression.IDF_POWER)[
        :, counts >= name_regression.MIN_LISTS
    ]
    naive /= np.linalg.norm(naive, axis=1, keepdims=True)
    naive -= naive.mean(axis=0)
    naive /= np.linalg.norm(naive, axis=1, keepdims=True)
    np.testing.assert_allclose(alike, naive @ naive.T, atol=1e-5)
    assert alike[0, 1] > 0.5 > 0 > alike[0, 4]
    assert alike[3, 4] > 0.5
    monkeypatch.setattr(name_regression, "DIM", 2)
    monkeypatch.setattr(name_regression, "MAX_GRAM_SIZE", 0)
    sparse = fitted(lists).contents
    monkeypatch.setattr(name_regression, "MAX_GRAM_SIZE", 10**6)
    dense = fitted(lists).contents
    np.testing.assert_allclose(sparse @ sparse.T, dense @ dense.T, atol=1e-4)


def test_few_lists_of_many_items_have_the_contents_that_all_of_the_decomposition_gives() -> None:
    lists = playlists({name: SEASONS[name] for name in list(SEASONS)[:5]} | {"all": list(range(8))})
    members = interactions(lists.data).toarray()
    counts = members.sum(axis=0)
    assert len(members) < (counts >= name_regression.MIN_LISTS).sum()
    weighed = (members * np.log(7 / counts) ** name_regression.IDF_POWER)[:, counts >= name_regression.MIN_LISTS]
    naive = weighed / np.linalg.norm(weighed, axis=1, keepdims=True)
    naive -= naive.mean(axis=0)
    naive /= np.linalg.norm(naive, axis=1, keepdims=True)
    regression = fitted(lists).contents
    np.testing.assert_allclose(regression @ regression.T, naive @ naive.T, atol=1e-5)


def test_a_word_has_the_column_of_its_hash() -> None:
    words = word_bags(["lute", "flute", "lute flute", None])
    x = features(np.zeros((4, 2), dtype=np.float32), words, None)
    assert x.shape == (4, 2 + name_regression.COLUMNS)
    assert [np.flatnonzero(row).tolist() for row in x[:2]] == [
        [2 + words[i].indices[0] % name_regression.COLUMNS] for i in range(2)
    ]
    np.testing.assert_array_equal(x[2], x[0] + x[1])
    assert not x[3].any()


@pytest.mark.parametrize("lists", [{"a": [0]}, {"a": [], "b": []}, {"a": [0, 1], "b": [2]}])
def test_lists_that_share_nothing_make_no_guess(lists: dict[str, list[int]]) -> None:
    source = fit_name_neighbours(playlists(lists), NameNeighboursConfig())
    assert not source.contents.contents.any()
    assert np.isfinite(source.sparse_scores([list_query("a")]).toarray()).all()


def test_what_is_stored_answers_the_same() -> None:
    vectors = np.eye(8, dtype=np.float32)
    source = fit_name_neighbours(
        replace(with_item_texts(playlists(SEASONS)), name_vectors=vectors), NameNeighboursConfig(text_encoder="some")
    )
    again = NameNeighbours.from_part(source.part("x"))
    query = [list_query("lute"), list_query("winter sun", vector=list(vectors[1])), list_query(None)]
    np.testing.assert_array_equal(again.sparse_scores(query).toarray(), source.sparse_scores(query).toarray())
    assert again.part("x").hash == source.part("x").hash


def test_weights_below_zero_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="told=-1"):
        NameNeighboursConfig(told=-1)
    with pytest.raises(InvalidRequest, match="guess=-1"):
        NameNeighboursConfig(guess=-1)
