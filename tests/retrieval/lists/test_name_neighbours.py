"""What names say: like names, names that spell an artist out, and both."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.errors import InvalidRequest
from recsys.retrieval.lists.attributes import ListAttributesConfig, fit_list_attributes
from recsys.retrieval.lists.entity_names import EntityNameConfig, fit_entity_names
from recsys.retrieval.lists.name_blend import NameBlend, NameBlendConfig
from recsys.retrieval.lists.name_neighbours import NameNeighboursConfig, fit_name_neighbours
from recsys.retrieval.lists.words import folded, runs
from tests.retrieval.lists.worlds import ARTISTS, ITEMS, list_query, playlists


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("  José's BEST—of (2016)  ", "joses best of 2016"),
        ("🔥Lit🔥", "🔥lit🔥"),
        ("Don\N{RIGHT SINGLE QUOTATION MARK}t", "dont"),
        ("中文歌", "中文歌"),
        ("ro\u200bck \u2764\ufe0f", "rock \u2764"),
        ("...", ""),
        (None, ""),
    ],
)
def test_names_are_folded_to_words(name: str | None, words: str) -> None:
    assert folded(name) == words


def test_runs_are_all_stretches_of_words_by_their_share() -> None:
    assert dict(runs("best of Prince")) == {
        "best": 1 / 3,
        "best of": 2 / 3,
        "best of prince": 1,
        "of": 1 / 3,
        "of prince": 2 / 3,
        "prince": 1 / 3,
    }
    assert list(runs(None)) == []


def test_like_names_say_what_share_of_their_lists_holds_an_item_and_copies_count_once() -> None:
    source = fit_name_neighbours(playlists(), NameNeighboursConfig())
    scores = source.sparse_scores([list_query("ROAD TRIP")]).toarray()[0]
    assert scores[[0, 3, 7]].tolist() == pytest.approx([1, 1, 1])
    assert scores[[1, 2, 4, 5, 6]].tolist() == [0] * 5
    two = fit_name_neighbours(playlists({"a b": [0], "a b ": [0], "a b!": [1]}), NameNeighboursConfig())
    assert two.sparse_scores([list_query("a b")]).toarray()[0, :2].tolist() == pytest.approx([0.5, 0.5])
    assert two.shares.tolist() == [0.5, 0.5, 1]


def test_a_text_encoder_finds_what_shares_no_letter() -> None:
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 0, 1, 2]]
    source = fit_name_neighbours(replace(playlists(), name_vectors=vectors), NameNeighboursConfig(text_encoder="some"))
    assert source.text_encoder == "some"
    assert not source.sparse_scores([list_query("qqqq")]).nnz
    assert set(source.sparse_scores([list_query("qqqq", vector=[1, 0, 0, 0])]).indices) == {0, 1, 3, 7}
    with_and_without = [list_query("zzz"), list_query("qqqq", vector=[0, 1, 0, 0])]
    both = source.sparse_scores(with_and_without).toarray()
    assert both[0, 7] == pytest.approx(1)
    assert set(np.flatnonzero(both[1])) == {3, 5}


@pytest.mark.parametrize("name", ["Prince", "the best of PRINCE", "prince mix"])
def test_a_name_that_spells_an_artist_speaks_of_all_its_items(name: str) -> None:
    source = fit_entity_names(playlists(), EntityNameConfig(common=1))
    scores = source.sparse_scores([list_query(name)]).toarray()[0]
    assert set(np.flatnonzero(scores)) == {0, 1, 2}  # also of the one that no list holds
    assert scores[0] > scores[1] > scores[2]


def test_accents_are_no_matter_and_other_names_say_nothing() -> None:
    source = fit_entity_names(playlists(), EntityNameConfig(common=1))
    assert set(source.sparse_scores([list_query("jose gonzalez")]).indices) == {3, 4}
    assert not source.sparse_scores([list_query("summer"), list_query(None), list_query("")]).nnz


def fitted(config: NameBlendConfig) -> NameBlend:
    lists = playlists()
    return NameBlend(
        fit_name_neighbours(lists, NameNeighboursConfig()), fit_entity_names(lists, EntityNameConfig()), config
    )


def test_named_is_the_logarithm_of_the_sum() -> None:
    config = NameBlendConfig(backoff=0.5, spelt=2.0, spread=0.25, first=2)
    named = fitted(config)
    query = [list_query("driving with prince"), list_query("zzz")]
    like, entities = named.names.sparse_scores(query).toarray(), named.entities.sparse_scores(query).toarray()
    members = named.names.members.toarray()
    total = like + 0.5 * (named.names.shares @ members) / 4 * (like > 0) + 2 * entities  # of four different lists
    rarity = np.where(members.any(axis=0), np.log(6 / np.maximum(members.sum(axis=0), 1)) ** 0.5, 0)
    for i, row in enumerate(total):
        first = np.argsort(-row, kind="stable")[:2]
        bag = np.where(np.isin(np.arange(ITEMS), first) & (row > 0), rarity, 0)
        weighed = members * rarity
        nearest = (weighed @ bag / np.linalg.norm(weighed, axis=1)) ** 3 * named.names.shares
        total[i] += 0.25 * nearest @ members / nearest.sum()
    np.testing.assert_allclose(named.sparse_scores(query).toarray(), np.log1p(1000 * total), rtol=1e-4)
    again = NameBlend.from_parts(named.part("x"), {"list-names": named.names, "list-spelt": named.entities})
    np.testing.assert_array_equal(again.sparse_scores(query).toarray(), named.sparse_scores(query).toarray())
    assert again.part("x").hash == named.part("x").hash
    for source in (named.names, named.entities):
        stored = type(source).from_part(source.part("x"))
        np.testing.assert_array_equal(stored.sparse_scores(query).toarray(), source.sparse_scores(query).toarray())
    assert not named.sparse_scores([list_query(None), list_query(" ")]).nnz


def test_items_of_the_same_artist_follow_the_share_of_the_list() -> None:
    source = fit_list_attributes(playlists(), ListAttributesConfig(common=1))
    scores = source.sparse_scores([list_query(None, [0, 1, 3])]).toarray()[0]
    artists = [ARTISTS[row] for row in (0, 1, 3)]
    naive = [0 if artist is None else artists.count(artist) / 3 for artist in ARTISTS]
    np.testing.assert_allclose(scores, np.array(naive) * source.weights, rtol=1e-5)
    assert not source.sparse_scores([list_query("Prince")]).nnz
    again = type(source).from_part(source.part("x"))
    np.testing.assert_array_equal(
        again.sparse_scores([list_query(None, [5])]).toarray(), source.sparse_scores([list_query(None, [5])]).toarray()
    )


def test_scores_are_those_of_the_search_and_settings_out_of_range_are_refused() -> None:
    named = fitted(NameBlendConfig())
    candidates = named.search([list_query("driving")], k=ITEMS)
    real = candidates.rows[0] >= 0
    np.testing.assert_allclose(
        named.score([list_query("driving")], candidates.rows)[0, real], candidates.scores[0, real], rtol=1e-6
    )
    with pytest.raises(InvalidRequest, match="floor=1"):
        NameNeighboursConfig(floor=1)
    with pytest.raises(InvalidRequest, match="common=2"):
        EntityNameConfig(common=2)
