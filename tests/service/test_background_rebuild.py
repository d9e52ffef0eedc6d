"""A served index that has aged is renewed in the background, while questions and writes go on."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.bundle import Bundle
from recsys.bundle_io import save_bundle
from recsys.indexes import build as kinds
from recsys.indexes import staleness
from recsys.indexes.build import IndexConfig, Kind
from recsys.indexes.exact import ExactConfig
from recsys.indexes.funnel import FunnelConfig
from recsys.indexes.hnsw import HnswIndex
from recsys.indexes.index import Flags, Index
from recsys.indexes.ivf_pq import IvfPqConfig, IvfPqIndex
from recsys.retrieval.dense import DenseSource
from recsys.retrieval.item_text import ItemTextSource
from recsys.service import Options, Recommender
from recsys.store import Store
from recsys.store.records import ItemDraft
from tests.encoders.test_catalogue import random_part
from tests.worlds import Planted

Served = tuple[Recommender, Store, Planted]
TEXT = Options(k=200, encoder="text")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staleness, "MIN_STALE_ROWS", 5)
    monkeypatch.setattr(kinds, "EXACT_ROWS", 45)


def drafts(*numbers: int) -> list[ItemDraft]:
    return [ItemDraft(item_id=f"new-{number}", title=f"something new {number}") for number in numbers]


def index(recommender: Recommender) -> Index:
    source = recommender._live.snapshot.items.sources["text"]
    assert isinstance(source, DenseSource)
    return source.index


def shown(recommender: Recommender, start: str) -> set[str]:
    return {item.item_id for item in recommender.recommend(history=[start], options=TEXT).items}


def test_a_catalogue_that_grew_gets_a_graph_and_loses_nothing(served: Served) -> None:
    recommender, _, planted = served
    start = next(iter(planted.world.successor))
    recommender.put_items(drafts(*range(20)))
    recommender._live.wait_for_rebuilds()
    assert isinstance(index(recommender), HnswIndex)
    assert {f"new-{number}" for number in range(20)} <= shown(recommender, start)
    recommender.delete_item("new-3")
    assert "new-3" not in shown(recommender, start)


def test_who_was_deleted_leaves_the_graph_with_the_next_one(served: Served) -> None:
    recommender, _, _ = served
    recommender.put_items(drafts(*range(20)))
    recommender._live.wait_for_rebuilds()
    first = index(recommender)
    for number in range(8):
        recommender.delete_item(f"new-{number}")
    recommender._live.wait_for_rebuilds()
    second = index(recommender)
    assert isinstance(first, HnswIndex)
    assert isinstance(second, HnswIndex)
    assert len(second.nodes) < len(first.nodes)


def test_what_is_asked_and_written_while_it_is_built_is_answered_and_kept(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    recommender, _, planted = served
    start = next(iter(planted.world.successor))
    built, go = threading.Event(), threading.Event()

    def slow(old: Index, active: Flags, *, suits: IndexConfig) -> Index:
        built.set()
        assert go.wait(30)
        return staleness.rebuild(old, active, suits=suits)

    monkeypatch.setattr("recsys.service.state.background_rebuild.rebuild", slow)
    recommender.put_items(drafts(*range(20)))
    assert built.wait(30)
    recommender.put_items([*drafts(20), ItemDraft(item_id="new-0", title="another name")])
    assert "new-20" in shown(recommender, start)
    go.set()
    recommender._live.wait_for_rebuilds()
    assert isinstance(index(recommender), HnswIndex)
    assert {"new-20", "new-19"} <= shown(recommender, start)
    recommender.put_items([ItemDraft(item_id="twin", title="another name")])
    one, twin = index(recommender).vectors[recommender.catalogue.rows(["new-0", "twin"])]
    np.testing.assert_allclose(one, twin, atol=1e-6)


def test_a_rebuild_that_fails_leaves_the_old_one(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recommender, _, planted = served

    def broken(old: Index, active: Flags, *, suits: IndexConfig) -> Index:
        raise MemoryError(len(old.known), len(active), suits)

    monkeypatch.setattr("recsys.service.state.background_rebuild.rebuild", broken)
    recommender.put_items(drafts(*range(20)))
    recommender._live.wait_for_rebuilds()
    assert "the old one goes on" in caplog.text
    assert "new-3" in shown(recommender, next(iter(planted.world.successor)))


@pytest.mark.parametrize(
    ("kind", "narrow", "whole"),
    [("auto", ExactConfig, FunnelConfig), ("exact", ExactConfig, ExactConfig), ("ivf-pq", IvfPqConfig, IvfPqConfig)],
)
def test_the_sizes_of_a_text_encoder_are_renewed_each_by_its_kind(
    trained: Planted, tmp_path: Path, kind: Kind, narrow: type, whole: type
) -> None:
    part = random_part()
    part = replace(part, config=part.config | {"offered": [[3, 8], [3, 16]]})
    alone = Bundle(parts={"item-text": part}, default="item-text", item_ids=(), about={})
    store = Store.open(trained.copy(tmp_path).url)
    recommender = Recommender(store, bundle=save_bundle(alone, str(tmp_path), name="alone"), text_index=kind)
    assert recommender._live._rebuild._thread is None  # nothing stands beside an index at the start
    recommender.put_items(drafts(*range(20)))
    recommender._live.wait_for_rebuilds()
    source = recommender._live.snapshot.items.sources["item-text"]
    assert isinstance(source, ItemTextSource)
    for truncation, config in zip(source.truncations.served, (narrow, whole), strict=True):
        index = source.at(truncation).index
        assert isinstance(index.config, config)  # type: ignore[attr-defined]
        assert index.known.sum() == 60
        if isinstance(index, IvfPqIndex):
            assert len(index.nodes) == 60  # none of the new ones stands beside it
        found = recommender.search_text("something new 3", options=Options(k=60, dims=truncation.dims)).items
        assert {f"new-{number}" for number in range(20)} <= {item.item_id for item in found}
    recommender.close()
    store.close()
