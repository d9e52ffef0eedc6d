"""The data set is what the store holds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from features.errors import SchemaError
from features.splits import FIT, TEST, VALIDATION
from features.synthetic import planted
from recsys.data.build import Holdout, dataset
from recsys.data.splits import split_by_fold
from recsys.encoders.cache import stored_vectors
from recsys.encoders.hashed import HashedNgrams
from recsys.errors import NotReady
from recsys.store import Store
from recsys.store.records import EventDraft, ItemDraft
from recsys.store.sessions import upgrade
from tests.databases import transaction

DAY = datetime(2023, 3, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    url = f"sqlite:///{tmp_path}/build.db"
    upgrade(url)
    return Store.open(url)


def fill(store: Store, histories: dict[str, str]) -> None:
    """Items a..f; one event a letter, one a day."""
    store.put_items([ItemDraft(item_id=c, title=f"Item {c}", attributes={"kind": "letter"}) for c in "abcdef"])
    store.add_events(
        [
            EventDraft(user_id=user, item_id=item, at=DAY + timedelta(days=day))
            for user, items in histories.items()
            for day, item in enumerate(items)
        ]
    )


def test_histories_rows_texts_and_times_are_those_of_the_store(store: Store) -> None:
    fill(store, {"u2": "cab", "u1": "ad"})
    data = dataset(store, holdout="none")
    assert data.item_ids == tuple("abcdef")
    assert data.texts[0] == "title: Item a | kind: letter"
    assert data.users == ("u1", "u2")
    assert [[data.item_ids[row] for row in h.rows] for h in data.histories()] == [["a", "d"], ["c", "a", "b"]]
    np.testing.assert_array_equal(data.history(1).at, [(DAY + timedelta(days=n)).timestamp() for n in range(3)])


def test_the_hash_changes_with_all_that_is_learned_from(store: Store) -> None:
    fill(store, {"u2": "cab", "u1": "ad"})
    data, hashes = dataset(store, holdout="none"), [dataset(store, holdout="none").hash]
    hashes += [
        replace(data, texts=("", *data.texts[1:])).hash,
        replace(data, domains=("x", *data.domains[1:])).hash,
        replace(data, at=data.at + 1).hash,
        replace(data, rows=data.rows[::-1].copy()).hash,
        dataset(store, holdout="leave-one-out").hash,
    ]
    assert len(set(hashes)) == len(hashes)
    assert dataset(store, holdout="none").hash == hashes[0]
    assert replace(data, texts=("", *data.texts[1:])).events_hash == data.events_hash


def test_rows_only_grow_while_items_come(store: Store) -> None:
    fill(store, {"u": "abc"})
    before = dataset(store, holdout="none").item_ids
    store.put_items([ItemDraft(item_id="A-first-by-name"), ItemDraft(item_id="a", title="renamed")])
    after = dataset(store, holdout="none").item_ids
    assert after == (*before, "A-first-by-name")


def test_deleted_items_and_their_events_are_left_out(store: Store) -> None:
    fill(store, {"u": "abca", "only": "b"})
    store.delete_item("b")
    data = dataset(store, holdout="none")
    assert "b" not in data.item_ids
    assert data.users == ("u",)
    assert [data.item_ids[row] for row in data.rows] == ["a", "c", "a"]


@pytest.mark.parametrize(
    ("holdout", "folds"),
    [
        ("leave-one-out", [[FIT, FIT, VALIDATION, TEST], [FIT, FIT]]),
        ("none", [[FIT] * 4, [FIT] * 2]),
        ("temporal", [[FIT, FIT, VALIDATION, TEST], [FIT, FIT]]),
    ],
)
def test_folds_follow_the_holdout(store: Store, holdout: Holdout, folds: list[list[int]]) -> None:
    fill(store, {"u1": "abcd", "u2": "ab"})
    data = dataset(store, holdout=holdout)
    assert [data.folds[a:b].tolist() for a, b in zip(data.starts, data.starts[1:], strict=False)] == folds


def test_undated_events_come_first_and_have_no_time(store: Store, tmp_path: Path) -> None:
    fill(store, {"u": "ab"})
    with transaction(f"sqlite:///{tmp_path}/build.db") as connection:
        connection.exec_driver_sql("update events set at = null where item_id = 'b'")
    data = dataset(store, holdout="none")
    assert [data.item_ids[row] for row in data.rows] == ["b", "a"]
    assert np.isnan(data.at).tolist() == [True, False]
    with transaction(f"sqlite:///{tmp_path}/build.db") as connection:
        connection.exec_driver_sql("update events set at = null")
    with pytest.raises(SchemaError, match="use leave-one-out"):
        dataset(store, holdout="temporal")


def test_an_empty_store_says_what_to_do(store: Store) -> None:
    with pytest.raises(NotReady, match="recsys import items FILE"):
        dataset(store, holdout="none")
    store.put_items([ItemDraft(item_id="a")])
    with pytest.raises(NotReady, match="recsys import events FILE"):
        dataset(store, holdout="leave-one-out")


@pytest.mark.parametrize("holdout", ["leave-one-out", "temporal"])
def test_no_case_is_answered_by_what_was_learned(store: Store, holdout: Holdout) -> None:
    """A user's learned events end before the case, and the case's history is everything before it, nothing after."""
    world = planted(users=12, items=12, clusters=2, length=6)
    store.put_items([ItemDraft(item_id=item) for item in world.items.collect()["item"]])
    rows = world.events.collect().select("user", "item", "at").iter_rows()
    store.add_events([EventDraft(user_id=u, item_id=i, at=at) for u, i, at in rows])
    folds, whole = split_by_fold(dataset(store, holdout=holdout)), dataset(store, holdout="none")
    for learned, cases in ((folds.fit, folds.validation), (folds.refit, folds.test)):
        assert len(cases)
        for user, history, target in zip(cases.users, cases.histories, cases.targets, strict=True):
            everything = whole.history(whole.users.index(user)).rows
            fitted = learned.history(learned.users.index(user)).rows
            assert len(fitted) <= len(history)
            np.testing.assert_array_equal(everything[: len(fitted)], fitted)
            np.testing.assert_array_equal(everything[: len(history)], history.rows)
            assert everything[len(history)] == target


def post(store: Store, user: str, *events: tuple[str, str], visit: bool = False) -> None:
    """Events (item, kind), one a day; all of one `visit`, or each of one of its own."""
    store.put_items([ItemDraft(item_id=c) for c in "abcdef"])
    store.add_events(
        [
            EventDraft(
                user_id=user,
                item_id=item,
                kind=kind,
                at=DAY + (timedelta(minutes=n) if visit else timedelta(days=n)),
            )
            for n, (item, kind) in enumerate(events)
        ]
    )


def test_rejections_are_no_targets_and_of_the_fold_of_the_target_before(store: Store) -> None:
    views = [(item, "view") for item in "abc"]
    post(store, "u", ("d", "dislike"), *views[:2], ("e", "dislike"), views[2], ("f", "skip"), ("d", "view"))
    data = dataset(store, holdout="leave-one-out")
    names = [data.item_ids[row] for row in data.rows]
    assert names == ["d", "a", "b", "e", "c", "f", "d"]
    assert data.targets.tolist() == [False, True, True, False, True, False, False]
    assert data.folds.tolist() == [FIT, FIT, VALIDATION, VALIDATION, TEST, TEST, TEST]
    folds = split_by_fold(data)
    assert [data.item_ids[row] for row in (*folds.validation.targets, *folds.test.targets)] == ["b", "c"]
    assert folds.fit.rows.tolist() == [0]  # what came after a target is not learned
    assert folds.test.histories[0].rows.tolist() == [0, 1]
    assert folds.test.histories[0].rejected.tolist() == [3, 4]


def test_rejections_are_no_targets_in_time_either(store: Store) -> None:
    fill(store, {"u1": "abcdefabcd", "u2": "fedcbafedc"})
    store.add_events([EventDraft(user_id="u1", item_id="d", kind="dislike", at=DAY + timedelta(days=9, hours=1))])
    folds = split_by_fold(dataset(store, holdout="temporal"))
    targets = list(zip(folds.test.users, folds.test.targets.tolist(), strict=True))
    assert len(targets)
    assert ("u1", 3) not in targets
    assert all(not len(history.rejected) for history in folds.test.histories)  # it comes after what they are asked for


def test_a_case_knows_nothing_of_what_came_after_it(store: Store) -> None:
    """A dislike after the last target takes nothing out of the histories before it."""
    events = [(item, "view") for item in "abcd"]
    post(store, "u", *events, ("a", "dislike"))
    folds = split_by_fold(dataset(store, holdout="leave-one-out"))
    assert folds.test.histories[0].rows.tolist() == [0, 1, 2]
    assert folds.test.histories[0].rejected.tolist() == []
    assert folds.refit.rows.tolist() == [0, 1, 2]


def test_a_visit_is_one_event_an_item_and_the_open_session_is_passed_on(store: Store) -> None:
    visit = [("d", "view"), ("e", "view"), ("d", "purchase"), ("f", "view")]
    store.put_items([ItemDraft(item_id=c) for c in "abcdef"])
    days = [EventDraft(user_id="u", item_id=i, at=DAY - timedelta(days=n)) for n, i in enumerate("cba", start=1)]
    store.add_events(days)
    post(store, "u", *visit, visit=True)
    data = dataset(store, holdout="leave-one-out")
    assert [data.item_ids[row] for row in data.rows] == ["a", "b", "c", "e", "d", "f"]
    assert data.signals.leave_out_open
    test = split_by_fold(data).test
    assert test.open_events.tolist() == [2]
    assert test.leave_out_open
    assert test.without_sessions().open_events.tolist() == [0]
    assert data.values[data.targets].mean() == pytest.approx(1)
    assert data.values[4] == pytest.approx(4 * data.values[3])


@pytest.mark.parametrize(
    "events",
    [
        [("a", "dislike"), ("b", "skip")],
        [("a", "view"), ("a", "dislike")],
    ],
)
def test_a_store_of_rejections_says_what_to_do(store: Store, events: list[tuple[str, str]]) -> None:
    post(store, "u", *events)
    with pytest.raises(NotReady, match="import views or purchases"):
        dataset(store, holdout="leave-one-out")


@pytest.mark.parametrize("weight", [0.0, -1.0])
def test_weights_that_are_all_zero_or_negative_say_what_to_do(store: Store, weight: float) -> None:
    store.put_items([ItemDraft(item_id="a")])
    store.add_events([EventDraft(user_id="u", item_id="a", weight=weight, at=DAY)])
    with pytest.raises(NotReady, match="RECSYS_SIGNALS"):
        dataset(store, holdout="none")


def test_a_user_with_rejections_only_is_no_case_and_no_history(store: Store) -> None:
    fill(store, {"u": "abcd"})
    store.add_events([EventDraft(user_id="no", item_id=item, kind="dislike", at=DAY) for item in "abcd"])
    folds = split_by_fold(dataset(store, holdout="leave-one-out"))
    assert folds.test.users == ("u",)
    assert folds.refit.lengths[folds.refit.users.index("no")] == 0


def test_text_vectors_stand_row_by_row_beside_the_items(store: Store) -> None:
    fill(store, {"u": "abc"})
    data, encoder = dataset(store, holdout="none"), HashedNgrams()
    vectors = stored_vectors(store, encoder, data.item_ids, data.texts)
    np.testing.assert_array_equal(vectors, encoder.encode_documents(data.texts))
    assert store.vectors(encoder.hash, ["a"])
