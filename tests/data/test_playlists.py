"""Playlists as a data set, and which of them are withheld."""

import numpy as np
import pytest

from features.splits import FIT, TEST, VALIDATION
from recsys.data.playlists import fold_of, playlists, split_playlists
from recsys.errors import NotReady
from recsys.store import Store
from recsys.store.records import EventDraft, ItemDraft


def test_lists_of_the_store_keep_order_repeats_and_names(store: Store) -> None:
    store.put_items([ItemDraft(item_id=item_id, attributes={"artist": "x"}) for item_id in ("a", "b", "c")])
    store.put_playlist("second", "Sunday", ["c", "a", "c"])
    store.put_playlist("first", None, ["b", "a"])
    store.put_playlist("third", "empty", [])
    store.delete_item("b")
    lists = playlists(store, seed=0)
    assert lists.data.item_ids == ("a", "c")
    assert lists.data.users == ("first", "second", "third")
    assert lists.names == (None, "Sunday", "empty")
    assert [rows.tolist() for rows in lists.rows()] == [[0], [1, 0, 1], []]
    assert lists.attributes == ({"artist": "x"}, {"artist": "x"})


@pytest.mark.slow
def test_a_twentieth_is_withheld_twice_and_equal_lists_fall_on_one_side(store: Store) -> None:
    items = [f"{number}" for number in range(300)]
    store.put_items([ItemDraft(item_id=item_id) for item_id in items])
    for number in range(299):
        store.put_playlist(f"list-{number}", None, items[number : number + 2])
        store.put_playlist(f"twin-{number}", None, items[number : number + 2][::-1])
    split = split_playlists(playlists(store, seed=1))
    assert 8 <= len(split.validation) <= 60
    assert 8 <= len(split.test) <= 60
    assert len(split.fit) + len(split.validation) == len(split.refit)
    assert len(split.refit) + len(split.test) == 2 * 299
    known = {rows.tobytes() for part in (split.fit, split.validation) for rows in map(np.sort, part.rows())}
    assert not {np.sort(rows).tobytes() for rows in split.test.rows()} & known


def test_without_playlists_histories_are_the_lists(store: Store) -> None:
    with pytest.raises(NotReady, match="no lists: run `recsys import playlists FILE`"):
        playlists(store, seed=0)
    store.put_items([ItemDraft(item_id=item_id) for item_id in ("a", "b")])
    store.add_events([EventDraft(user_id="ann", item_id=item_id, position=n) for n, item_id in enumerate("aba")])
    lists = playlists(store, seed=0)
    assert lists.data.users == ("ann",)
    assert [rows.tolist() for rows in lists.rows()] == [[0, 1, 0]]


def test_folds_depend_on_the_seed() -> None:
    folds = {fold_of(np.array([1, 2]), seed=seed) for seed in range(200)}
    assert folds == {FIT, VALIDATION, TEST}
