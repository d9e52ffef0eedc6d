"""The protocol `search`: rows by part, kind and length, from what the serving code finds."""

from contextlib import closing
from pathlib import Path

import pytest

from recsys.errors import NotReady
from recsys.evaluation.search_protocol import ALL, evaluate_search
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.store.sessions import upgrade
from tests.worlds import Planted


def test_titles_are_found_by_every_part_and_lengths_add_up(trained: Planted, tmp_path: Path) -> None:
    with closing(Store.open(trained.copy(tmp_path).url)) as store:
        before = store.counts()
        rows = list(evaluate_search(store))
        assert store.counts() == before
    by_group = {(row.part, row.kind, row.length): row for row in rows}
    for part in ("search", "lexical", "text"):
        assert by_group[part, "title", ALL].queries == 40
        of_lengths = [row.queries for (p, kind, length), row in by_group.items() if (p, kind) == (part, "title")]
        assert sum(of_lengths) == 80
    assert by_group["search", "title", ALL].first.mean == 1
    assert by_group["search", "one error", ALL].first.mean >= 0.8
    assert by_group["search", "one error", ALL].mrr.mean >= by_group["search", "one error", ALL].first.mean


def test_without_a_bundle_words_are_measured_and_without_a_title_nothing(tmp_path: Path) -> None:
    upgrade(url := f"sqlite:///{tmp_path}/untrained.db")
    with closing(Store.open(url)) as store:
        with pytest.raises(NotReady, match="no item has a title to search for"):
            list(evaluate_search(store))
        store.put_items([ItemDraft(item_id="lute", title="acoustic lute")])
        assert {row.part for row in evaluate_search(store)} == {"search", "lexical"}
