"""A new item that reads as an old one is scored and proposed as that one is; all others stay as they were."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from recsys.bundle import Bundle
from recsys.data.history import History
from recsys.retrieval import near_duplicates
from recsys.retrieval.explanation import Reason
from recsys.retrieval.near_duplicates import DuplicateBackoff, NearDuplicates
from recsys.retrieval.serving import serving_model
from recsys.retrieval.source import Candidates, Explanation, Query, Rows, Scores, StoredSource, top
from recsys.service import Options, Recommender
from recsys.store import Store
from recsys.store.records import ItemDraft
from tests.retrieval.worlds import World
from tests.worlds import Planted

TEXT = np.eye(4, dtype=np.float32)


def grown(*new: int) -> NearDuplicates:
    """Rows from 4 on that read as the old rows `new`; -1 as none of them."""
    other = np.full((1, 4), 0.5, dtype=np.float32)
    vectors = np.concatenate([TEXT, *(TEXT[row : row + 1] if row >= 0 else other for row in new)])
    return NearDuplicates(np.ones(4, dtype=np.bool_)).with_items(np.arange(len(vectors)), vectors)


def test_a_near_duplicate_has_an_original_and_other_items_have_none() -> None:
    duplicates = grown(2, -1, 0)
    assert duplicates.originals_of(np.array([-1, 0, 3, 4, 5, 6, 9])).tolist() == [-1, 0, 3, 2, 5, 0, 9]
    assert len(duplicates) == 2


def test_a_changed_text_has_another_original_or_none() -> None:
    vectors = np.concatenate([TEXT, TEXT[1:2], np.full((1, 4), 0.5, dtype=np.float32)])
    duplicates = grown(2, 0).with_items(np.array([4]), vectors)
    assert duplicates.originals_of(np.array([4, 5])).tolist() == [1, 0]
    assert len(duplicates.with_items(np.array([5]), vectors)) == 1


def test_a_trained_item_never_has_an_original() -> None:
    every = NearDuplicates(np.ones(4, dtype=np.bool_))
    assert len(every.with_items(np.array([1]), np.repeat(TEXT[:1], 4, axis=0))) == 0


@pytest.mark.parametrize("new", [1, 3])  # few are compared with all rows, many with those of the originals
def test_an_item_without_events_at_training_has_an_original_and_is_none(
    new: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "ROWS_PER_BLOCK", 2)
    trained = NearDuplicates(np.array([False, True, False, False]))
    duplicates = trained.with_items(np.array([0, 2, 3])[:new], np.repeat(TEXT[:1], 4, axis=0))
    assert duplicates.duplicates.tolist() == [0, 2, 3][:new]
    assert set(duplicates.originals.tolist()) == {1}


def test_a_bundle_gives_items_without_events_their_originals(sources: dict[str, StoredSource], planted: World) -> None:
    parts = {name: sources[name].part(name) for name in ("popular", "ease", "sasrec-hybrid", "text")}
    model = serving_model(Bundle(parts=parts, default="ease", item_ids=planted.dataset.item_ids, about={}))
    new = np.flatnonzero(~planted.dataset.has_events)
    assert model.duplicates.originals_of(new).tolist() == list(range(len(new)))


def test_without_the_text_of_either_a_pair_is_none() -> None:
    duplicates = grown(2, 0, 2).without(np.array([0, 6]))
    assert duplicates.originals_of(np.array([4, 5, 6])).tolist() == [2, 5, 6]


class Fixed:
    """Row r of every query scores r; rows from 4 on are unknown to it."""

    def search(self, queries: Sequence[Query], *, k: int) -> Candidates:
        scores = np.stack([np.where(q.allowed[:4], np.arange(4.0), -np.inf) for q in queries]).astype(np.float32)
        return top(scores, k=k)

    def score(self, queries: Sequence[Query], rows: NDArray[np.int64]) -> Scores:  # noqa: ARG002
        return np.where((rows >= 0) & (rows < 4), rows, np.nan).astype(np.float32)

    def explain(self, query: Query, rows: Rows) -> list[Explanation]:  # noqa: ARG002
        return [(Reason(0, float(row)),) for row in rows]


def ask(*allowed: int) -> list[Query]:
    flags = np.zeros(7, dtype=np.bool_)
    flags[list(allowed)] = True
    return [Query(History.undated(np.array([0])), flags)]


def test_a_row_that_is_found_has_the_score_of_the_scoring() -> None:
    backoff = DuplicateBackoff(Fixed(), grown(2, -1, 0))
    candidates = backoff.search(ask(0, 1, 2, 3, 4, 5, 6), k=6)
    assert candidates.rows.tolist() == [[3, 2, 4, 1, 0, 6]]
    np.testing.assert_array_equal(backoff.score(ask(), candidates.rows), candidates.scores)


def test_an_original_that_is_not_allowed_still_gives_its_score() -> None:
    backoff = DuplicateBackoff(Fixed(), grown(2, -1, 0))
    assert backoff.search(ask(1, 4), k=3).rows.tolist() == [[4, 1, -1]]


def test_originals_that_are_not_allowed_take_no_place_of_others() -> None:
    backoff = DuplicateBackoff(Fixed(), grown(3, 2))
    assert backoff.search(ask(0, 1, 4, 5), k=4).rows.tolist() == [[4, 5, 1, 0]]
    assert backoff.search(ask(0, 1, 4), k=2).rows.tolist() == [[4, 1]]


def test_a_duplicate_is_explained_as_its_original() -> None:
    backoff = DuplicateBackoff(Fixed(), grown(2, -1, 0))
    explanations = backoff.explain(ask(0)[0], np.array([4, 3, 6]))
    assert [reasons[0].weight for reasons in explanations] == [2, 3, 0]


def test_a_copy_stands_beside_its_original_in_the_blend(served: tuple[Recommender, Store, Planted]) -> None:
    recommender, _, planted = served
    start, follower = next(iter(planted.world.successor.items()))
    old = recommender.item(follower)
    recommender.put_items([ItemDraft(item_id="copy", title=old.title, attributes=old.attributes)])
    before = [item.item_id for item in recommender.recommend(history=[start], options=Options(k=30)).items]
    assert abs(before.index("copy") - before.index(follower)) <= 2
    recommender.delete_item(follower)
    after = [item.item_id for item in recommender.recommend(history=[start], options=Options(k=30)).items]
    assert after.index("copy") <= before.index("copy")
