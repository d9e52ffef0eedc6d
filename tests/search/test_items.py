"""Items that come, change and go count by their texts in the next answer, through every kind of index and after a restart."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.text import item_text
from recsys.bundle import Bundle
from recsys.bundle_io import load_bundle, save_bundle
from recsys.cli.shared import open_recommender
from recsys.encoders.catalogue import CatalogueTextEncoder
from recsys.indexes import build as kinds
from recsys.indexes.build import Kind
from recsys.indexes.funnel import FunnelIndex
from recsys.retrieval.serving import ServingModel
from recsys.service import Options, Recommender
from recsys.service.items.questions import MAX_K
from recsys.service.state.catalogue import Catalogue
from recsys.service.state.text_service import TextService
from recsys.settings import Settings
from recsys.store import Store, items
from recsys.store.records import ItemDraft
from recsys.store.sessions import upgrade
from tests.encoders.test_catalogue import random_part
from tests.search.sizes import Served
from tests.worlds import Planted


def test_another_domain_alone_is_another_reader(recommender: Recommender) -> None:
    recommender.put_items([ItemDraft(item_id="lute", title="acoustic lute", domain="tools")])
    best = recommender.search_text("acoustic lute", domain="tools", options=Options(k=1)).items[0]
    assert (best.item_id, round(best.score, 3)) == ("lute", 1.0)
    music = recommender.search_text("acoustic lute", domain="music", options=Options(k=MAX_K)).items
    assert "lute" not in [item.item_id for item in music]


def test_a_text_that_no_encoder_takes_stops_nothing_else(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = CatalogueTextEncoder.encode_exits

    def encode_exits(self: CatalogueTextEncoder, texts: Sequence[str], **more: Any) -> Any:
        if any("poison" in text for text in texts):
            raise RuntimeError("no such token")
        return real(self, texts, **more)

    monkeypatch.setattr(CatalogueTextEncoder, "encode_exits", encode_exits)
    recommender.put_items([ItemDraft(item_id="bad", title="poison")])
    assert "texts of 1 items cannot be read, bad the first" in caplog.text
    recommender.put_items([ItemDraft(item_id="good", title="claw hammer two")])
    found = [item.item_id for item in recommender.search_text("claw hammer two", options=Options(k=MAX_K)).items]
    assert "good" in found
    assert "bad" not in found
    recommender.put_items([ItemDraft(item_id="bad", title="claw hammer three")])
    found = [item.item_id for item in recommender.search_text("claw hammer three", options=Options(k=MAX_K)).items]
    assert "bad" in found


def test_a_changed_text_encodes_that_item_alone_at_all_exits(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, encode = list[str](), CatalogueTextEncoder.encode_exits

    def noted(self: CatalogueTextEncoder, texts: Sequence[str], **more: object) -> object:
        read.extend(texts)
        return encode(self, texts, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(CatalogueTextEncoder, "encode_exits", noted)
    recommender.put_items([ItemDraft(item_id="hammer", title="acoustic lute", domain="music")])
    assert read == ["title: acoustic lute"]
    for layers in (2, None):
        near = recommender.search_text("acoustic lute", domain="music", options=Options(k=2, layers=layers))
        assert {item.item_id for item in near.items} == {"hammer", "lute"}
    recommender.put_items([ItemDraft(item_id="hammer", title="claw hammer", domain="tools")])
    assert recommender.search_text("claw hammer", domain="tools", options=Options(k=1)).items[0].score > 0.9999
    recommender.put_items([ItemDraft(item_id="lute", title="acoustic lute", domain="music", attributes={})])
    recommender.set_availability({"lute": False})
    recommender.put_items([ItemDraft(item_id="lute", title="acoustic lute", domain="music", available=True)])
    assert len(read) == 2


def test_a_text_that_becomes_what_it_was_in_training_counts_again(served: Served) -> None:
    recommender, _, planted = served
    here, there = list(planted.world.cluster)[:2]
    mine, other = recommender.item(here), recommender.item(there)
    before = recommender.search_text(mine.title or "", options=Options(k=40)).items
    recommender.put_items([ItemDraft(item_id=here, title=other.title, attributes=other.attributes)])
    assert recommender.search_text(mine.title or "", options=Options(k=40)).items != before
    recommender.put_items([ItemDraft(item_id=here, title=mine.title, attributes=mine.attributes)])
    after = recommender.search_text(mine.title or "", options=Options(k=40)).items
    assert {i.item_id: round(i.score, 4) for i in after} == {i.item_id: round(i.score, 4) for i in before}


def test_a_thousand_new_items_are_found_by_the_next_question(recommender: Recommender) -> None:
    drafts = [ItemDraft(item_id=f"new-{n}", title=f"guitar {n} strings", domain="music") for n in range(1000)]
    recommender.put_items(drafts)
    for layers in (2, None):
        answer = recommender.search_text("guitar 731 strings", domain="music", options=Options(k=1, layers=layers))
        assert answer.items[0].score > 0.9999
    known = {item.item_id for item in recommender.search_text("guitar", domain="music", options=Options(k=1000)).items}
    assert len(known) == 1000


def test_the_precision_of_catalogues_is_described(recommender: Recommender) -> None:
    assert recommender.models()["text_encoder"].startswith("item-text, catalogues in float32")
    recommender.put_items([ItemDraft(item_id=f"new-{n}", title=f"guitar {n} strings") for n in range(300)])
    assert "of 256 texts bfloat16 was" in recommender.models()["text_encoder"]


def test_a_text_is_cleaned_once_and_again_by_another_version(
    recommender: Recommender, store: Store, sized: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned = list[str | None]()

    def noted(title: str | None, attributes: Mapping[str, Any]) -> str:
        cleaned.append(title)
        return item_text(title, attributes)

    monkeypatch.setattr(items, "item_text", noted)
    recommender.put_items([ItemDraft(item_id="lute", title="<b>bass</b> lute")])
    assert cleaned == ["<b>bass</b> lute"]
    assert store.item("lute").text == "title: bass lute"
    Recommender(store, bundle=sized).close()
    assert len(cleaned) == 1
    monkeypatch.setattr(items, "TEXT_VERSION", 0)
    assert store.item("lute").text == "title: bass lute"
    assert len(cleaned) == 2


def test_a_restart_reads_vectors_from_the_store(recommender: Recommender, store: Store, sized: str) -> None:
    before = recommender.search_text("acoustic lute", options=Options(k=10, layers=2)).items
    again = Recommender(store, bundle=sized)
    assert again.search_text("acoustic lute", options=Options(k=10, layers=2)).items == before
    hash_ = load_bundle(sized).part("item-text").hash
    assert all(store.vectors(hash_, ["lute"], layer=layer) for layer in (1, 2, 3))
    assert not store.vectors(hash_, ["lute"])
    again.close()


def test_an_item_of_the_training_that_comes_back_after_a_restart_is_found(
    recommender: Recommender, store: Store, sized: str
) -> None:
    old = store.item("item-003")
    recommender.delete_item(old.item_id)
    again = Recommender(store, bundle=sized)
    again.put_items([ItemDraft(item_id=old.item_id, title=old.title, domain=old.domain, attributes=old.attributes)])
    for layers in (2, None):
        options = Options(k=1000, layers=layers)
        sources = {item.item_id: item.sources for item in again.search_text(old.title or "", options=options).items}
        assert sources[old.item_id] == ("lexical", "item-text")
    near = again.similar(old.item_id, options=Options(k=3, encoder="item-text")).items
    assert [item.source for item in near] == ["item-text"] * 3
    again.close()


def test_items_of_the_training_put_into_an_empty_store_are_found(store: Store, sized: str, tmp_path: Path) -> None:
    upgrade(url := f"sqlite:///{tmp_path}/empty.db")
    empty = Store.open(url)
    recommender = Recommender(empty, bundle=sized)
    known = [store.item(f"item-00{number}") for number in range(5)]
    drafts = [ItemDraft(item_id=one.item_id, title=one.title, attributes=one.attributes) for one in known]
    recommender.put_items(drafts)
    found = recommender.search_text("anything", options=Options(k=10)).items
    assert {item.item_id: item.source for item in found} == {one.item_id: "item-text" for one in known}
    recommender.close()
    empty.close()


def test_an_item_that_another_process_puts_during_the_start_is_found(
    store: Store, sized: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_vectors = TextService.with_vectors

    def overtaken(self: TextService, model: ServingModel, catalogue: Catalogue) -> ServingModel:
        store.put_items([ItemDraft(item_id="late", title="viola da gamba", domain="music")])
        return with_vectors(self, model, catalogue)

    monkeypatch.setattr(TextService, "with_vectors", overtaken)
    recommender = Recommender(store, bundle=sized)
    assert recommender.search_text("viola da gamba", domain="music", options=Options(k=1)).items[0].item_id == "late"
    recommender.close()


@pytest.mark.parametrize("kind", ["exact", "funnel", "hnsw", "ivf-pq"])
def test_few_items_are_found_alike_through_every_kind_of_index(
    recommender: Recommender, store: Store, sized: str, kind: Kind
) -> None:
    other = Recommender(store, bundle=sized, text_index=kind)
    for layers in (2, None):
        options = Options(k=5, layers=layers)
        ours, theirs = (r.search_text("acoustic lute", options=options).items for r in (recommender, other))
        assert [(i.item_id, round(i.score, 5)) for i in ours] == [(i.item_id, round(i.score, 5)) for i in theirs]
    other.put_items([ItemDraft(item_id="new", title="viola da gamba", domain="music")])
    assert other.search_text("viola da gamba", domain="music", options=Options(k=1)).items[0].item_id == "new"
    other.close()


def test_a_graph_of_texts_outlives_the_process(
    trained: Planted, sized: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, answers = trained.copy(tmp_path).url, []
    settings = Settings(database_url=url, text_index="hnsw", indexes=tmp_path / "indexes")
    for _ in range(2):
        with open_recommender(settings, bundle=sized) as (recommender, _store):
            answers.append(recommender.search_text("acoustic lute", options=Options(k=5)).items)
        monkeypatch.setattr("recsys.indexes.build.build_hnsw", None)
    assert answers[0] == answers[1]
    assert len(list((tmp_path / "indexes").iterdir())) == 2


@pytest.mark.parametrize(
    ("kind", "limit", "through"), [("auto", 10, [8, 8]), ("auto", 50_000, []), ("funnel", 50_000, [8, 8])]
)
def test_a_large_catalogue_is_searched_through_the_narrower_size(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, limit: int, through: list[int]
) -> None:
    monkeypatch.setattr(kinds, "EXACT_ROWS", limit)
    shortlists, shortlist = list[int](), FunnelIndex._shortlist

    def noted(self: FunnelIndex, query: np.ndarray, kept: np.ndarray, *, size: int) -> np.ndarray:
        shortlists.append(self.config.dims)
        return shortlist(self, query, kept, size=size)

    monkeypatch.setattr(FunnelIndex, "_shortlist", noted)
    part = random_part()
    part = replace(part, config=part.config | {"offered": [[3, 8], [3, 16]]})
    alone = Bundle(parts={"item-text": part}, default="item-text", item_ids=(), about={})
    uri = save_bundle(alone, str(tmp_path), name="alone")
    recommender = Recommender(store, bundle=uri, text_index=kind)
    assert recommender.search_text("acoustic lute", options=Options(k=1, dims=16)).items[0].item_id == "lute"
    recommender.recommend(history=["lute"], options=Options(k=1, dims=16))
    assert shortlists == through
    recommender.close()


@pytest.mark.parametrize("title", [None, "\N{GUITAR}"])
def test_items_without_a_text_are_near_to_nothing_after_a_restart_either(
    store: Store, sized: str, title: str | None
) -> None:
    store.put_items([ItemDraft(item_id=item_id, title=title) for item_id in ("hammer", "silent")])
    recommender = Recommender(store, bundle=sized)
    for item_id in ("hammer", "silent"):
        answer = recommender.similar(item_id, options=Options(k=3, encoder="item-text"))
        assert [one.what for one in answer.degraded if "has no text" in one.why] == ["item"]
        assert {item.source for item in answer.items} == {"popular"}
    recommender.close()
