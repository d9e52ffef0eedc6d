"""What every source promises, whatever it is made of: walked over the kinds that `recsys.retrieval.registry` lists."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from recsys.bundle import Bundle
from recsys.bundle_io import load_bundle, save_bundle
from recsys.data.splits import split_by_fold
from recsys.encoders.catalogue_parts import KIND as ITEM_TEXT
from recsys.retrieval.fusion import Fusion, FusionSource
from recsys.retrieval.registry import kinds, restore_source
from recsys.retrieval.source import Candidates, Query, StoredSource
from tests.retrieval.kinds import (
    FOR_ALL,
    KINDS,
    ORDERED,
    RANDOM,
    REPEATS,
    SINGLE,
    TEXTS,
    TEXTS_AND_EVENTS,
    again,
    blended,
)
from tests.retrieval.worlds import NEW, World, everything, query

Searched = StoredSource | FusionSource

BEYOND = 3
"""Rows of items that came after everything was fitted."""

close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
"""Sums in another order differ in the last bits; standardising makes that a little more."""


@pytest.fixture(params=KINDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def source(name: str, sources: dict[str, StoredSource]) -> Searched:
    return blended(sources) if name == "fusion" else sources[name]


@pytest.fixture
def width(planted: World) -> int:
    """Catalogue rows as requests see them: trained, new and later ones."""
    return planted.dataset.items + BEYOND


@pytest.fixture
def questions(planted: World, width: int) -> list[Query]:
    """Histories of all sorts, each with other rows allowed."""
    generator = np.random.default_rng(5)
    histories = [case.rows.tolist() for case in split_by_fold(planted.dataset).test.histories[:20]]
    histories += [
        [],
        [width - 1],
        [planted.items],
        [3, 3, 3],
        [7, width - 2, 8],
        generator.integers(0, 40, 300).tolist(),
    ]
    return [query(rows, allowed=generator.random(width) < 0.7) for rows in histories]


def test_every_kind_of_the_registry_is_tried() -> None:
    assert {*SINGLE, ITEM_TEXT} == set(kinds(lambda can: can.answers == "items"))


class TestEverySource:
    def test_it_returns_allowed_rows_once_best_first(self, source: Searched, questions: list[Query]) -> None:
        candidates = source.search(questions, k=10)
        assert candidates.rows.shape == candidates.scores.shape == (len(questions), 10)
        for question, rows, scores in zip(questions, candidates.rows, candidates.scores, strict=True):
            real = rows[rows >= 0]
            assert question.allowed[real].all()
            assert len(set(real.tolist())) == len(real)
            assert (np.diff(scores[: len(real)]) <= 0).all()
            assert (rows[len(real) :] == -1).all()
            assert (scores[len(real) :] == -np.inf).all()
            assert np.isfinite(scores[: len(real)]).all()

    def test_nothing_better_was_passed_over(self, source: Searched, questions: list[Query], width: int) -> None:
        candidates = source.search(questions, k=10)
        scores = source.score(questions, everything(len(questions), items=width))
        for i, question in enumerate(questions):
            others = question.allowed.copy()
            others[candidates.rows[i][candidates.rows[i] >= 0]] = False
            full = (candidates.rows[i] >= 0).all()
            worst = (
                candidates.scores[i, -1] if full else 0
            )  # a short list may leave out what the history says nothing for
            assert not (scores[i, others] > worst + 1e-4).any()

    def test_a_row_that_is_found_is_scored_the_same(self, source: Searched, questions: list[Query]) -> None:
        candidates = source.search(questions, k=12)
        scores = source.score(questions, candidates.rows)
        np.testing.assert_array_equal(np.isnan(scores), candidates.rows < 0)
        close(scores[candidates.rows >= 0], candidates.scores[candidates.rows >= 0])

    def test_more_than_there_is_comes_padded(self, source: Searched, questions: list[Query], width: int) -> None:
        candidates = source.search(questions, k=3 * width)
        assert candidates.rows.shape == (len(questions), 3 * width)
        assert (candidates.rows[:, width:] == -1).all()
        assert (candidates.scores[:, width:] == -np.inf).all()

    def test_a_shorter_answer_is_the_beginning_of_a_longer_one(self, source: Searched, questions: list[Query]) -> None:
        np.testing.assert_array_equal(source.search(questions, k=4).rows, source.search(questions, k=20).rows[:, :4])

    def test_nothing_allowed_finds_nothing(self, source: Searched, width: int) -> None:
        candidates = source.search([query([1, 2], allowed=np.zeros(width, dtype=np.bool_))], k=5)
        assert (candidates.rows == -1).all()

    def test_no_questions_have_no_answers(self, source: Searched) -> None:
        assert source.search([], k=5).rows.shape == (0, 5)
        assert source.score([], np.empty((0, 3), dtype=np.int64)).shape == (0, 3)

    @pytest.mark.parametrize("unknown", [[], [-1], [-1, -2]])
    def test_without_a_known_item_only_what_is_for_everyone_has_an_opinion(
        self, name: str, source: Searched, width: int, unknown: list[int]
    ) -> None:
        queries = [query([width + row for row in unknown], allowed=width)]
        candidates, scores = source.search(queries, k=5).rows[0], source.score(queries, np.array([[1, 2]]))[0]
        assert (candidates >= 0).any() == (name in (*FOR_ALL, "fusion") or (name in REPEATS and len(unknown) > 0))
        assert set(np.isnan(scores).tolist()) == {name not in (*FOR_ALL, "fusion")}

    def test_unknown_items_in_a_history_are_passed_over(self, name: str, source: Searched, width: int) -> None:
        if name in (*REPEATS, "fusion"):  # an item that came later may come again
            return
        with_it, without = [query(rows, allowed=width) for rows in ([4, width - 1, 9, width - 2], [4, 9])]
        assert_same(source.search([with_it], k=10), source.search([without], k=10))

    def test_an_item_without_events_says_nothing_in_a_source_of_ids(
        self, name: str, source: Searched, planted: World, width: int
    ) -> None:
        with_it, without = [query(rows, allowed=width) for rows in ([4, 9, planted.items], [4, 9])]
        if name in (*TEXTS, *REPEATS, "fusion"):
            assert not np.array_equal(source.search([with_it], k=10).scores, source.search([without], k=10).scores)
        else:
            assert_same(source.search([with_it], k=10), source.search([without], k=10))

    def test_items_never_trained_on_are_silent_but_for_their_text(
        self, name: str, source: Searched, planted: World, width: int
    ) -> None:
        candidates = set(source.search([query([0, 1], allowed=width)], k=width).rows[0].tolist())
        new, later = set(range(planted.items, planted.items + NEW)), set(range(width - BEYOND, width))
        if name in (*FOR_ALL, "fusion"):  # counted: not once
            assert new | later < candidates
        else:
            assert not later & candidates
            assert (new <= candidates) if name in TEXTS else not new & candidates
            unheard = source.score([query([0, 1], allowed=width)], np.array([[*later, *(new - candidates)]]))
            assert np.isnan(unheard).all()

    def test_a_catalogue_from_before_the_training_is_fine(self, source: Searched) -> None:
        candidates = source.search([query([0, 1, 2, 3, 13], allowed=12)], k=30)
        assert candidates.rows.max() < 12
        assert (candidates.rows >= 0).sum() > 3

    def test_an_answer_does_not_depend_on_the_others_of_its_call(
        self, source: Searched, questions: list[Query]
    ) -> None:
        many = (questions * 12)[:300]  # more than one block
        together = source.search(many, k=6)
        for i in (0, 7, 20, 25, 255, 256, 299):
            expected = source.search([many[i]], k=6)
            assert_same(Candidates(together.rows[i : i + 1], together.scores[i : i + 1]), expected)

    def test_threads_get_the_same_answers(self, source: Searched, questions: list[Query]) -> None:
        expected = source.search(questions, k=8)
        with ThreadPoolExecutor(4) as pool:
            for candidates in pool.map(lambda _: source.search(questions, k=8), range(8)):
                assert_same(candidates, expected)

    def test_what_is_asked_is_not_changed(self, source: Searched, questions: list[Query]) -> None:
        before = [(question.history.rows.copy(), question.allowed.copy()) for question in questions]
        source.score(questions, source.search(questions, k=8).rows)
        for question, (rows, allowed) in zip(questions, before, strict=True):
            np.testing.assert_array_equal(question.history.rows, rows)
            np.testing.assert_array_equal(question.allowed, allowed)

    def test_its_first_goes_with_the_history_and_that_of_the_popular_does_not(
        self, name: str, source: Searched, planted: World
    ) -> None:
        first = source.search(walks(planted), k=1).rows[:, 0]
        together = (planted.cluster[first] == planted.cluster).mean()
        assert together < 0.4 if name in (*FOR_ALL, *REPEATS) else together > 0.9


@pytest.mark.parametrize("one", ORDERED)
def test_where_order_counts_the_planted_successor_comes_first(
    one: str, sources: dict[str, StoredSource], planted: World
) -> None:
    first = sources[one].search(walks(planted), k=1).rows[:, 0]
    assert (first == planted.successor[planted.successor]).mean() > 0.9


def walks(planted: World) -> list[Query]:
    """For each item, someone who had it and then its successor."""
    queries = []
    for start in range(planted.items):
        allowed = np.arange(planted.dataset.items) < planted.items
        allowed[[start, planted.successor[start]]] = False
        queries.append(query([start, planted.successor[start]], allowed=allowed))
    return queries


def assert_same(candidates: Candidates, expected: Candidates) -> None:
    """The same rows at the same scores; those level with each other may change places."""
    close(candidates.scores, expected.scores)
    for scores, rows, others in zip(expected.scores, candidates.rows, expected.rows, strict=True):
        size = (others >= 0).sum()
        apart = np.concatenate([[True], np.diff(scores[:size]) < -1e-4, [size < len(scores)]])
        clear = apart[:size] & apart[1 : size + 1]
        np.testing.assert_array_equal(rows[:size][clear], others[:size][clear])


@pytest.mark.parametrize("one", SINGLE)
def test_a_bundle_gives_every_source_back(
    one: str, sources: dict[str, StoredSource], questions: list[Query], planted: World, tmp_path: Path
) -> None:
    part = sources[one].part(one)
    bundle = Bundle(parts={one: part}, default=one, item_ids=planted.dataset.item_ids, about={})
    loaded = load_bundle(save_bundle(bundle, str(tmp_path))).part(one)
    assert loaded.hash == part.hash
    back = restore_source(loaded)
    assert identical(sources[one].search(questions, k=9), back.search(questions, k=9))
    assert back.part(one).hash == part.hash


def test_a_bundle_gives_a_fusion_back(
    sources: dict[str, StoredSource], questions: list[Query], planted: World, tmp_path: Path
) -> None:
    fused = blended(sources)
    bundle = Bundle(
        parts={"blend": fused.fusion.part("blend")}, default="blend", item_ids=planted.dataset.item_ids, about={}
    )
    loaded = load_bundle(save_bundle(bundle, str(tmp_path))).part("blend")
    back = FusionSource(Fusion.from_part(loaded), sources)
    assert identical(fused.search(questions, k=9), back.search(questions, k=9))


@pytest.mark.parametrize("one", SINGLE)
def test_the_same_seed_gives_the_same_bits(one: str, planted: World) -> None:
    fit = again(one, planted)
    first, second, other = fit(seed=1).part("x"), fit(seed=1).part("y"), fit(seed=2).part("x")
    assert first.hash == second.hash
    assert (first.hash != other.hash) == (one in RANDOM)


@pytest.mark.parametrize("one", TEXTS)
def test_a_new_item_counts_by_its_text_and_the_old_source_stays_as_it_was(
    one: str, sources: dict[str, StoredSource], planted: World, width: int, questions: list[Query]
) -> None:
    old = sources[one]
    before = old.search(questions, k=width)
    twins = np.array([width - 1, width - 3])  # beyond the end, and with a gap
    texts = [planted.dataset.texts[row] for row in (10, 20)]
    grown = old.with_items(twins, planted.text[[10, 20]]).with_texts(twins, texts)
    assert identical(before, old.search(questions, k=width))
    queries = [query([30], allowed=width)]
    scores = grown.score(queries, np.array([[10, width - 1, 20, width - 3, width - 2]]))[0]
    assert np.isnan(scores[4])
    if one in TEXTS_AND_EVENTS:  # the old ones keep what was learned of their ids
        assert np.abs(scores[[0, 2]] - scores[[1, 3]]).max() < np.nanstd(old.score(queries, everything(1, items=width)))
    else:
        np.testing.assert_allclose(scores[[0, 2]], scores[[1, 3]], rtol=1e-4)


@pytest.mark.parametrize("one", TEXTS)
def test_an_item_that_lost_its_text_is_known_by_its_id_or_not_at_all(
    one: str, sources: dict[str, StoredSource], width: int
) -> None:
    old, queries, rows = sources[one], [query([30, 5], allowed=width)], np.array([[5, 10, width - 1]])
    before = old.score(queries, rows)
    silent = old.without_texts(np.array([5, width - 1]))
    assert not np.isnan(before[0, 0])
    np.testing.assert_array_equal(old.score(queries, rows), before)
    assert np.isnan(silent.score(queries, rows))[0].tolist() == [one != "sasrec-hybrid", False, True]
    only = silent.search([query([5], allowed=width)], k=3)
    assert (only.rows >= 0).any() == (one in TEXTS_AND_EVENTS)


def test_a_source_of_ids_loses_nothing_with_a_text(sources: dict[str, StoredSource]) -> None:
    for one in {*SINGLE} - {*TEXTS}:
        assert sources[one].without_texts(np.array([5])) is sources[one]


def test_an_encoder_of_ids_learns_nothing_from_a_text(sources: dict[str, StoredSource], planted: World) -> None:
    old = sources["sasrec"]
    assert old.text_encoder == ""
    assert old.with_items(np.array([50]), planted.text[:1]) is old


def identical(one: Candidates, other: Candidates) -> bool:
    return np.array_equal(one.rows, other.rows) and np.array_equal(one.scores, other.scores)
