"""What every trained list encoder promises, and what tells the one that knows the order from the one that does not."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.retrieval.lists.encoder import DecodingConfig
from recsys.retrieval.lists.seq2seq import Seq2seqListEncoder
from recsys.retrieval.lists.sets import SetListEncoder
from recsys.retrieval.registry import kinds
from tests.training.lists.worlds import GENRES, ITEMS, TEXT, WORLD, dataset, trained

Learned = Seq2seqListEncoder | SetListEncoder
NEW = ITEMS + 5
"""A row beyond the catalogue that everything was trained over."""

LISTS = [np.array(one, dtype=np.int64) for one in WORLD.lists[:12]]
ODD = [np.array(one, dtype=np.int64) for one in ([], [ITEMS], [NEW], [3] * 500, list(range(40)) * 3, [-1, 5])]
LIST_MODELS = kinds(lambda can: can.decodes_lists)


@pytest.fixture(params=LIST_MODELS)
def encoder(request: pytest.FixtureRequest) -> Learned:
    return trained(request.param)


@pytest.fixture(params=LIST_MODELS)
def hybrid(request: pytest.FixtureRequest) -> Learned:
    return trained(request.param, kind="hybrid", epochs=2)


class TestEveryTrainedEncoder:
    def test_vectors_are_of_unit_length_or_zero(self, encoder: Learned) -> None:
        vectors = encoder.encode([*LISTS, *ODD])
        assert vectors.shape == (len(LISTS) + len(ODD), encoder.dim)
        assert vectors.dtype == np.float32
        lengths = np.linalg.norm(vectors, axis=1)
        np.testing.assert_allclose(lengths[: len(LISTS)], 1, rtol=1e-5)
        assert lengths[len(LISTS) : len(LISTS) + 3].tolist() == [0, 0, 0]  # empty, or of unknown items alone
        np.testing.assert_allclose(lengths[len(LISTS) + 3 :], 1, rtol=1e-5)

    def test_a_vector_does_not_depend_on_its_company(self, encoder: Learned) -> None:
        together = encoder.encode([*LISTS, *ODD])
        for number in (0, 5, 11, 15, 17):
            alone = encoder.encode([[*LISTS, *ODD][number]])
            np.testing.assert_allclose(alone[0], together[number], atol=1e-6)

    def test_unknown_items_are_passed_over(self, encoder: Learned) -> None:
        spoiled = [np.concatenate([[ITEMS, NEW], rows, [ITEMS + 1]]) for rows in LISTS]
        np.testing.assert_allclose(encoder.encode(spoiled), encoder.encode(LISTS), atol=1e-6)

    def test_no_lists_have_no_vectors_and_no_scores(self, encoder: Learned) -> None:
        assert encoder.encode([]).shape == (0, encoder.dim)
        assert encoder.next_scores([], np.empty((0, 3), dtype=np.int64)).shape == (0, 3)

    def test_it_says_whether_it_knows_the_order(self, encoder: Learned) -> None:
        shuffled = [np.random.default_rng(1).permutation(rows) for rows in LISTS]
        apart = np.abs(encoder.encode(shuffled) - encoder.encode(LISTS)).max(axis=1)
        assert (apart > 1e-3).all() if encoder.order_sensitive else (apart < 1e-5).all()

    def test_an_endless_list_is_read_whole_as_a_set_and_at_its_end_in_order(self, encoder: Learned) -> None:
        """Longer than what is trained on: 30 items, of which one came 500 times last."""
        long = np.concatenate([np.arange(min(30, ITEMS)), np.zeros(500, dtype=np.int64)])
        if encoder.order_sensitive:
            np.testing.assert_allclose(encoder.encode([long]), encoder.encode([long[-500:]]), atol=1e-6)
            return
        shuffled = [np.random.default_rng(seed).permutation(long) for seed in range(5)]
        np.testing.assert_allclose(encoder.encode(shuffled), np.repeat(encoder.encode([long]), 5, axis=0), atol=1e-5)
        assert np.abs(encoder.encode([long]) - encoder.encode([long[-500:]])).max() > 1e-3

    def test_a_stored_encoder_comes_back_the_same(self, encoder: Learned) -> None:
        part = encoder.part("lists/mine")
        again = type(encoder).from_part(part)
        assert again.name == "mine"
        assert again.hash == encoder.hash
        np.testing.assert_array_equal(again.encode(LISTS), encoder.encode(LISTS))

    def test_next_items_are_a_distribution_over_what_is_known(self, encoder: Learned) -> None:
        every = np.arange(ITEMS + 2)
        scores = encoder.next_scores(LISTS, np.broadcast_to(every, (len(LISTS), ITEMS + 2)))
        np.testing.assert_allclose(np.exp(scores[:, :ITEMS]).sum(axis=1), 1, rtol=1e-4)
        assert np.isnan(scores[:, ITEMS:]).all()
        odd = encoder.next_scores(ODD[:4], np.array([[0, -1, NEW]] * 4))
        assert np.isnan(odd[:3]).all()
        assert np.isfinite(odd[3, 0])
        assert np.isnan(odd[3, 1:]).all()

    def test_it_has_learned_that_genres_go_together(self, encoder: Learned) -> None:
        genre = np.array(WORLD.genre)
        asked = [np.flatnonzero(genre == number)[:6] for number in range(GENRES)]
        scores = encoder.next_scores(asked, np.broadcast_to(np.arange(ITEMS), (GENRES, ITEMS)))
        for number in range(GENRES):
            best = np.argsort(-scores[number])[:10]
            assert (genre[best] == number).mean() > 0.6  # chance is a quarter

    def test_continuations_keep_to_the_candidates_and_say_nothing_twice(self, encoder: Learned) -> None:
        candidates = np.array([1, 4, 9, 16, 25, 36, ITEMS, NEW])
        config = DecodingConfig(length=10, alternatives=3, strength=0.0)
        continuations = encoder.decode(LISTS[0], candidates=candidates, prior=None, groups=None, config=config)
        (one,) = continuations  # of the same items there is one list
        assert sorted(one.rows.tolist()) == [1, 4, 9, 16, 25, 36]  # fewer candidates than items wanted

    def test_lists_that_nothing_makes_different_are_one(self, encoder: Learned) -> None:
        candidates = np.array([1, 4, 9, 16])
        config = DecodingConfig(length=4, alternatives=3, width=1)  # each holds all there is: a penalty for all alike
        continuations = encoder.decode(LISTS[0], candidates=candidates, prior=None, groups=None, config=config)
        assert len(continuations) == 1

    def test_the_first_is_the_best_by_model_and_prior(self, encoder: Learned) -> None:
        candidates, prior = np.arange(20), np.linspace(0, 6, 20).astype(np.float32)
        config = DecodingConfig(length=4, alternatives=5, strength=5.0)
        continuations = encoder.decode(LISTS[0], candidates=candidates, prior=prior, groups=None, config=config)
        worth = [one.log_probability + float(prior[one.rows].sum()) for one in continuations]
        assert len(continuations) == 5
        assert worth == sorted(worth, reverse=True)
        assert [one.total_score for one in continuations] == pytest.approx(worth, abs=1e-4)

    def test_alternatives_differ(self, encoder: Learned) -> None:
        config = DecodingConfig(length=5, alternatives=4, width=2, strength=100.0)
        continuations = encoder.decode(LISTS[0], candidates=np.arange(ITEMS), prior=None, groups=None, config=config)
        assert len({row for one in continuations for row in one.rows.tolist()}) == 20

    @pytest.mark.parametrize("strength", [0.0, 0.2, 1.0])
    @pytest.mark.parametrize("repeats", [False, True])
    def test_there_are_as_many_as_asked_for_whatever_the_strength_and_no_two_of_the_same_items(
        self, encoder: Learned, strength: float, *, repeats: bool
    ) -> None:
        config = DecodingConfig(length=4, alternatives=5, strength=strength, repeats=repeats)
        continuations = encoder.decode(LISTS[0], candidates=np.arange(ITEMS), prior=None, groups=None, config=config)
        assert len({tuple(sorted(one.rows.tolist())) for one in continuations}) == 5
        (plain,) = encoder.decode(
            LISTS[0],
            candidates=np.arange(ITEMS),
            prior=None,
            groups=None,
            config=replace(config, alternatives=1),
        )
        assert continuations[0].log_probability >= plain.log_probability
        assert plain.rows.tolist() in [one.rows.tolist() for one in continuations]

    def test_what_retrieval_and_groups_say_steers(self, encoder: Learned) -> None:
        candidates, config = np.arange(20), DecodingConfig(length=3)
        prior = np.where(candidates == 7, 50, 0).astype(np.float32)
        first = encoder.decode(LISTS[0], candidates=candidates, prior=prior, groups=None, config=config)[0]
        assert 7 in first.rows
        groups = np.repeat([0, 1, 2, 3, 4], 4)
        apart = encoder.decode(
            LISTS[0], candidates=candidates, prior=None, groups=groups, config=replace(config, same_group=100.0)
        )[0]
        assert len(set(groups[apart.rows].tolist())) == 3
        most = replace(config, length=20, most_of_group=2, alternatives=2)
        for one in encoder.decode(LISTS[0], candidates=candidates, prior=None, groups=groups * 1000, config=most):
            assert np.bincount(groups[one.rows]).tolist() == [2] * 5  # and then nothing more may follow

    def test_of_nothing_known_nothing_comes(self, encoder: Learned) -> None:
        config = DecodingConfig(length=3)
        assert encoder.decode(ODD[0], candidates=np.arange(5), prior=None, groups=None, config=config) == []
        assert encoder.decode(LISTS[0], candidates=np.array([NEW]), prior=None, groups=None, config=config) == []

    def test_a_new_item_counts_by_its_text(self, hybrid: Learned) -> None:
        genre = np.array(WORLD.genre)
        twin = int(np.flatnonzero(genre == 2)[0])
        grown = hybrid.with_items(np.array([NEW]), TEXT.encode_documents([dataset().texts[twin]]))
        assert not hybrid.encode([np.array([NEW])]).any()
        assert grown.encode([np.array([NEW])]).any()
        np.testing.assert_allclose(grown.encode(LISTS), hybrid.encode(LISTS), atol=1e-6)
        assert hybrid.text_encoder == "hashed"

    def test_an_old_text_given_again_changes_nothing(self, hybrid: Learned) -> None:
        rows = np.array([3, 7, ITEMS])
        again = hybrid.with_items(rows, TEXT.encode_documents([dataset().texts[row] for row in rows]))
        np.testing.assert_allclose(again.vectors, hybrid.vectors, atol=1e-5)

    def test_an_item_that_lost_its_text_is_known_by_its_id_or_not_at_all(self, hybrid: Learned) -> None:
        by_text = hybrid.with_items(np.array([NEW]), TEXT.encode_documents([dataset().texts[0]]))
        silent = by_text.without_texts(np.array([NEW, LISTS[0][0]]))
        assert not silent.encode([np.array([NEW])]).any()
        np.testing.assert_array_equal(silent.encode(LISTS), by_text.encode(LISTS))
        assert by_text.encode([np.array([NEW])]).any()
        assert np.flatnonzero(by_text.known != silent.known).tolist() == [NEW]

    def test_ids_alone_learn_nothing_from_a_text(self, encoder: Learned) -> None:
        assert encoder.with_items(np.array([NEW]), TEXT.encode_documents(["x"])) is encoder
        assert encoder.text_encoder == ""


def test_a_set_and_the_set_doubled_are_told_apart_by_counts() -> None:
    encoder = trained("set")
    once, twice = encoder.encode([LISTS[0], np.concatenate([LISTS[0], LISTS[0]])])
    assert np.abs(once - twice).max() > 1e-4
