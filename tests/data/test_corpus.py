"""Histories and playlists as lists, without what is withheld and what is deleted."""

from pathlib import Path

import pytest

from recsys.data.corpus import Corpus, read_corpus
from recsys.errors import NotReady
from recsys.store import Store
from recsys.store.records import EventDraft, ItemDraft
from recsys.store.sessions import upgrade


@pytest.fixture
def store(tmp_path: Path) -> Store:
    upgrade(f"sqlite:///{tmp_path}/s.db")
    store = Store.open(f"sqlite:///{tmp_path}/s.db")
    store.put_items([ItemDraft(item_id=i, title=i.upper(), domain="x" if i < "d" else None) for i in "abcde"])
    return store


def letters(corpus: Corpus) -> list[str]:
    whole: dict[int, str] = {}
    for row, owner in zip(corpus.rows.tolist(), corpus.list_ids.tolist(), strict=True):
        whole[owner] = whole.get(owner, "") + corpus.item_ids[row]
    return sorted(whole.values())


def test_it_learns_from_what_is_not_withheld(store: Store) -> None:
    store.add_events([EventDraft(user_id="u", item_id=i, position=n) for n, i in enumerate("edcba")])
    store.add_events([EventDraft(user_id="v", item_id=i, position=n) for n, i in enumerate("ab")])
    store.put_playlist("u", None, ["c", "a", "b"])
    store.delete_item("d")
    assert letters(read_corpus(store, holdout="leave-one-out")) == ["ab", "cab", "ec"]
    corpus = read_corpus(store, holdout="none")
    assert letters(corpus) == ["ab", "cab", "ecba"]
    assert corpus.texts == ("title: A", "title: B", "title: C", "title: E")
    assert corpus.domains == ("x", "x", "x", None)


def test_playlists_are_enough(store: Store) -> None:
    with pytest.raises(NotReady, match="holds no lists"):
        read_corpus(store, holdout="leave-one-out")
    store.put_playlist("p", None, ["b", "a"])
    assert letters(read_corpus(store, holdout="leave-one-out")) == ["ba"]


def test_what_was_rejected_goes_with_nothing(store: Store) -> None:
    kinds = {"a": "view", "b": "dislike", "c": "purchase"}
    store.add_events([EventDraft(user_id="u", item_id=i, position=n, kind=k) for n, (i, k) in enumerate(kinds.items())])
    assert letters(read_corpus(store, holdout="none")) == ["ac"]
