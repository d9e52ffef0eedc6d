"""Texts of items count in the next answer of a part that takes them as they are: no text encoder is needed for that."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from recsys.service import Options, Recommender
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.training.job import Saved, TrainingRequest, train_from_store
from tests.worlds import PLAN, Planted


@pytest.fixture
def store(trained: Planted, tmp_path: Path) -> Iterator[Store]:
    with closing(Store.open(trained.copy(tmp_path).url)) as store:
        store.put_items([ItemDraft(item_id="hose", title="Garden Hose")])
        yield store


@pytest.fixture
def recommender(store: Store, tmp_path: Path) -> Iterator[Recommender]:
    """Answers by the part `lexical` alone."""
    request = TrainingRequest(model="lexical", folder=str(tmp_path / "bundles"), checkpoints=tmp_path / "checkpoints")
    uri = [fact for fact in train_from_store(store, PLAN, request) if isinstance(fact, Saved)][-1].uri
    with closing(Recommender(store, bundle=uri, text_lag=0)) as recommender:
        yield recommender


def similar(recommender: Recommender) -> list[str]:
    """Items that share words with the garden hose, more than the label of a title; popular ones, which fill the answer, are left
    out."""
    answer = recommender.similar("hose", options=Options(k=5))
    return [item.item_id for item in answer.items if item.source == "lexical" and item.score > 0.1]


def test_an_item_counts_with_its_new_changed_and_emptied_text(recommender: Recommender) -> None:
    before = similar(recommender)
    assert "reel" not in before
    recommender.put_items([ItemDraft(item_id="reel", title="Reel for a garden hose")])
    assert similar(recommender)[0] == "reel"
    recommender.put_items([ItemDraft(item_id="reel", title="Xylophone")])
    assert similar(recommender) == before
    recommender.put_items([ItemDraft(item_id="reel", title="Garden hose reel")])
    assert similar(recommender)[0] == "reel"
    recommender.put_items([ItemDraft(item_id="reel", title=None)])
    assert similar(recommender) == before


def test_texts_that_another_process_writes_follow(recommender: Recommender, tmp_path: Path) -> None:
    with closing(Store.open(f"sqlite:///{tmp_path}/recsys.db")) as other:
        other.put_items([ItemDraft(item_id=f"reel-{number}", title="Garden hose reel") for number in range(40)])
    recommender._live.wait_for_changes()
    assert all(item_id.startswith("reel-") for item_id in similar(recommender))


def test_a_restart_knows_the_texts_written_since_the_training(recommender: Recommender, store: Store) -> None:
    recommender.put_items([ItemDraft(item_id="reel", title="Reel for a garden hose")])
    uri = recommender.recommend(history=[]).bundle
    with closing(Recommender(store, bundle=uri)) as restarted:
        assert similar(restarted)[0] == "reel"
