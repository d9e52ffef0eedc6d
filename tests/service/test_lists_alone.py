"""Bundles of one list encoder, stores without events, and vectors of lists that follow what their encoder reads."""

import gc
import tracemalloc
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from recsys.batch.lists import score_lists
from recsys.bundle import Bundle
from recsys.bundle_io import save_bundle
from recsys.data.history import Rows
from recsys.errors import NothingKnown
from recsys.ranking import pipeline
from recsys.retrieval.lists.encoder import DecodedList, DecodingConfig, ListVectors
from recsys.retrieval.lists.mean import MEAN, MeanConfig, MeanEncoder, fit_mean
from recsys.retrieval.lists.sets import SetListEncoder
from recsys.service import Recommender
from recsys.service.playlists import service as lists
from recsys.service.playlists.playlist_index import PlaylistIndex
from recsys.service.playlists.questions import ContinueOptions, SimilarOptions
from recsys.service.playlists.vectorizers import ItemVectorizer, NameVectorizer
from recsys.service.state.catalogue import Catalogue
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.store.sessions import upgrade
from recsys.training.job import Saved, TrainingRequest, train_from_store
from tests.training.lists.worlds import ITEMS, WORLD, dataset, trained
from tests.worlds import PLAN, Planted


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The items of `tests.training.lists.worlds` and some of its lists; no events."""
    upgrade(f"sqlite:///{tmp_path}/recsys.db")
    store = Store.open(f"sqlite:///{tmp_path}/recsys.db")
    data = dataset()
    store.put_items([ItemDraft(item_id=item_id, title=data.texts[row]) for row, item_id in enumerate(data.item_ids)])
    for number, one in enumerate(WORLD.lists[:60]):
        store.put_playlist(f"list-{number}", f"kind {number % 3}", [data.item_ids[row] for row in one])
    yield store
    store.close()


def bundle_of(name: str, folder: Path, *, kind: str = "id") -> str:
    encoder = trained(name, kind=kind, epochs=2)
    part = encoder.part(f"lists/{name}")
    about = {"seed": 0, "text_encoder": "hashed"}
    bundle = Bundle(parts={part.name: part}, default=part.name, item_ids=dataset().item_ids, about=about)
    return save_bundle(bundle, str(folder), name=f"{name}-alone")


@pytest.mark.parametrize("name", ["set", "playlist-seq2seq"])
def test_one_list_encoder_alone_compares_and_continues_over_http(store: Store, tmp_path: Path, name: str) -> None:
    recommender = Recommender(store, bundle=bundle_of(name, tmp_path))
    past = [dataset().item_ids[row] for row in WORLD.lists[0][:5]]
    with TestClient(create_app(recommender)) as client:
        answer = client.post("/v1/playlists/continue", json={"item_ids": past, "k": 4, "alternatives": 2}).json()
        assert answer["encoder"] == name
        found = [[item["item_id"] for item in one["items"]] for one in answer["alternatives"]]
        assert [len(one) for one in found] == [4, 4]
        assert not {item for one in found for item in one} & set(past)
        assert found[0] != found[1]
        unknown = client.post("/v1/playlists/continue", json={"name": "kind 1"})
        assert unknown.status_code == 422
        assert "send one that it knows" in unknown.json()["detail"]
        assert client.post("/v1/playlists/similar", json={"item_ids": past}).json()["encoder"] == name
        free = {"item_ids": past, "order": "free"}
        degraded = client.post("/v1/playlists/continue", json=free).json()["degraded"]
        told = [one["what"] for one in degraded]
        assert all("train blend, or leave order out" in one["why"] for one in degraded)
        named = client.post("/v1/playlists/continue", json=free | {"encoder": name})
        if name == "playlist-seq2seq":
            assert told == ["order"]
            assert named.status_code == 422
            assert "is sensitive to order: leave out order='free'" in named.json()["detail"]
        else:
            assert (told, named.status_code) == ([], 200)
        for order in ("free", "sensitive"):
            similar = client.post("/v1/playlists/similar", json={"item_ids": past, "order": order}).json()
            other = (order == "free") == (name == "playlist-seq2seq")
            assert [one["what"] for one in similar["degraded"]] == ["order"] * other
            assert [f"{name} answers: train" in one["why"] for one in similar["degraded"]] == [True] * other
        told = client.post("/v1/recommendations", json={"history": past}).json()
        assert told["encoder"] == "popular"
        assert any("parts for lists alone" in one["why"] for one in told["degraded"])
        assert client.get("/v1/models").json()["default"] == "popular"
    recommender.close()


def test_of_a_longer_list_than_can_be_sent_the_last_items_are_read_and_that_is_told(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recommender = Recommender(store, bundle=bundle_of("playlist-seq2seq", tmp_path))
    items = [dataset().item_ids[row] for row in WORLD.lists[0]]
    sent = recommender.lists.similar(items[-6:], None, SimilarOptions(k=3))
    monkeypatch.setattr(lists, "MAX_HISTORY", 6)
    store.put_playlist("long", None, items)
    stored = recommender.lists.similar_to("long", SimilarOptions(k=3))
    assert [one.what for one in stored.degraded] == ["items"]
    assert f"only the last 6 of its {len(items)} items are read" in stored.degraded[0].why
    others = [one.playlist_id for one in sent.playlists if one.playlist_id != "list-0"]
    assert [one.playlist_id for one in stored.playlists if one.playlist_id != "list-0"][: len(others)] == others
    recommender.close()


@pytest.mark.slow
def test_a_set_is_completed_by_name_with_figures_of_its_own(store: Store, tmp_path: Path) -> None:
    """By the pointer, which does not write what the encoder alone ranks first, over HTTP and in a batch."""
    small = {"loop": {"epochs": 4}, "negatives": 20, "encoder": {"dim": 16}, "min_count": 1}
    small |= {"completion": {"loop": {"epochs": 3}, "candidates": 30}}
    plan = replace(PLAN, overrides={"set": small})
    *_, saved = train_from_store(
        store, plan, TrainingRequest(model="set", folder=str(tmp_path / "b"), checkpoints=tmp_path / "c")
    )
    assert isinstance(saved, Saved)
    recommender = Recommender(store, bundle=saved.uri)
    encoder = recommender._live.snapshot.lists.encoders["set"]
    assert isinstance(encoder, SetListEncoder)
    *_, done = score_lists(recommender, store, tmp_path / "out.parquet", options=ContinueOptions(k=4, encoder="set"))
    assert done.lists == 60
    rows, other = pl.read_parquet(tmp_path / "out.parquet"), 0
    with TestClient(create_app(recommender)) as client:
        for number in range(10):
            past = list(store.playlist(f"list-{number}").item_ids)
            body = {"item_ids": past, "k": 4, "encoder": "set"}
            (one,) = client.post("/v1/playlists/continue", json=body).json()["alternatives"]
            shown = [item["item_id"] for item in one["items"]]
            held = recommender.catalogue.rows(past)
            every = np.setdiff1d(np.arange(len(recommender.catalogue.item_ids)), held)
            scores = encoder.next_scores([held], every[None])[0]
            candidates = every[np.argsort(-scores, kind="stable")]
            config = DecodingConfig(length=4)
            pointed = encoder.decode(held, candidates=candidates, prior=None, groups=None, config=config)[0].rows
            assert shown == [recommender.catalogue.item_ids[row] for row in pointed.tolist()]
            assert rows.filter(pl.col("playlist_id") == f"list-{number}")["item_id"].to_list() == shown
            other += pointed.tolist() != candidates[:4].tolist()
        (part,) = client.get("/v1/models").json()["lists"]
    assert other > 0
    told = part["figures"]
    assert told.keys() == {
        "validation_ndcg@10", "validation_completion_recall@10", "validation_ranking_recall@10", "measured_on"
    }  # fmt: skip
    assert all(0 <= value <= 1 for name, value in told.items() if name != "measured_on")
    recommender.close()


def test_a_writer_has_more_to_choose_from_than_it_writes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what is found for a list, it may know a part alone."""
    monkeypatch.setattr(pipeline, "MIN_POOL", 1)
    offered = list[int]()

    def decode(*_: object, candidates: np.ndarray, config: DecodingConfig, **__: object) -> list[DecodedList]:
        offered.append(len(candidates))
        return [DecodedList(candidates[: config.length], 0.0, 0.0)] * config.alternatives

    monkeypatch.setattr(type(trained("playlist-seq2seq", epochs=2)), "decode", decode)
    recommender = Recommender(store, bundle=bundle_of("playlist-seq2seq", tmp_path))
    past = [dataset().item_ids[row] for row in WORLD.lists[0][:5]]
    for options in (ContinueOptions(k=4), ContinueOptions(k=4, alternatives=3), ContinueOptions(k=2, most_of_group=1)):
        recommender.lists.continued(past, None, options)
    assert offered == [8, 24, 40]
    recommender.close()


def test_a_model_alone_goes_on_in_the_domains_of_the_list(store: Store, tmp_path: Path) -> None:
    """It knows the items of others, too, by their texts."""
    data, past = dataset(), [dataset().item_ids[row] for row in WORLD.lists[0][:5]]
    recommender = Recommender(store, bundle=bundle_of("set", tmp_path))
    anything = recommender.lists.continued(past, None, ContinueOptions(k=ITEMS)).alternatives[0].items
    other = [item.item_id for item in anything[::2]]
    recommender.put_items([ItemDraft(item_id=one, domain="film") for one in other])
    own = recommender.lists.continued(past, None, ContinueOptions(k=ITEMS)).alternatives[0].items
    assert {item.item_id for item in own} == {item.item_id for item in anything} - set(other)
    both = recommender.lists.continued([*past, other[0]], None, ContinueOptions(k=ITEMS)).alternatives[0].items
    assert {item.item_id for item in both} == {item.item_id for item in anything} - {other[0]}
    assert len(own) < len(data.item_ids)
    recommender.close()


@pytest.mark.parametrize(("written", "told"), [(0, "encoder"), (2, "k")])
def test_a_writer_that_writes_too_little_is_told(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int, told: str
) -> None:
    def decode(*_: object, candidates: np.ndarray, **__: object) -> list[DecodedList]:
        return [DecodedList(candidates[:written], 0.0, 0.0)] if written else []

    monkeypatch.setattr(type(trained("playlist-seq2seq", epochs=2)), "decode", decode)
    recommender = Recommender(store, bundle=bundle_of("playlist-seq2seq", tmp_path))
    past = [dataset().item_ids[row] for row in WORLD.lists[0][:5]]
    answer = recommender.lists.continued(past, None, ContinueOptions(k=4))
    assert [len(one.items) for one in answer.alternatives] == [written or 4]
    assert [one.what for one in answer.degraded] == [told]
    recommender.close()


@pytest.mark.parametrize("repeats", [False, True])
def test_a_writer_is_told_whether_items_may_repeat(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repeats: bool
) -> None:
    asked = list[DecodingConfig]()

    def decode(*_: object, candidates: np.ndarray, config: DecodingConfig, **__: object) -> list[DecodedList]:
        asked.append(config)
        return [DecodedList(candidates[:4], 0.0, 0.0)]

    monkeypatch.setattr(type(trained("playlist-seq2seq", epochs=2)), "decode", decode)
    recommender = Recommender(store, bundle=bundle_of("playlist-seq2seq", tmp_path))
    past = [dataset().item_ids[row] for row in WORLD.lists[0][:5]]
    recommender.lists.continued(past, None, ContinueOptions(k=4, repeats=repeats))
    assert [config.repeats for config in asked] == [repeats]
    recommender.close()


@pytest.mark.slow
def test_a_store_with_playlists_and_no_events_gives_a_whole_blend(store: Store, tmp_path: Path) -> None:
    small = {name: {"loop": {"epochs": 1}} for name in ("sasrec", "sasrec-hybrid")}
    facts = train_from_store(
        store,
        replace(PLAN, overrides=small),
        TrainingRequest(model="blend", folder=str(tmp_path / "b"), checkpoints=tmp_path / "c"),
    )
    saved = next(fact for fact in facts if isinstance(fact, Saved))
    recommender = Recommender(store, bundle=saved.uri)
    past = [dataset().item_ids[row] for row in WORLD.lists[0][:5]]
    assert recommender.recommend(history=past).encoder == "blend"
    assert len(recommender.lists.continued(past, None, ContinueOptions(k=3)).alternatives[0].items) == 3
    assert len(recommender.lists.continued([], "kind 2", ContinueOptions(k=3)).alternatives[0].items) == 3
    recommender.close()


def test_lists_are_read_again_when_an_item_of_theirs_gets_another_text(store: Store, tmp_path: Path) -> None:
    small = {"loop": {"epochs": 1}, "negatives": 20, "encoder": {"dim": 8}, "completion": False}
    plan = replace(PLAN, overrides={"set": small})
    *_, saved = train_from_store(
        store, plan, TrainingRequest(model="set", folder=str(tmp_path / "b"), checkpoints=tmp_path / "c")
    )
    assert isinstance(saved, Saved)
    recommender = Recommender(store, bundle=saved.uri)

    def compared() -> dict[str, float]:
        found = recommender.lists.similar_to("list-0", SimilarOptions(k=60, encoder="set")).playlists
        return {one.playlist_id: one.score for one in found}

    before = compared()
    recommender.put_items([ItemDraft(item_id="new", title=dataset().texts[WORLD.lists[0][0]])])
    recommender.put_playlist("mine", None, ["new"])  # of an item that the encoder learned of a moment ago
    first = compared()
    recommender.put_items([ItemDraft(item_id="new", title="something else altogether")])
    again = compared()
    assert again["mine"] != first["mine"]
    assert {one: score for one, score in again.items() if one != "mine"} == pytest.approx(before, abs=1e-5)
    recommender.close()


def test_what_a_trained_encoder_has_read_is_kept_and_a_changed_or_deleted_list_is_not(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, read = bundle_of("playlist-seq2seq", tmp_path), list[int]()
    kind = type(trained("playlist-seq2seq", epochs=2))
    whole = kind.encode

    def counted(self: Any, lists: Sequence[Rows]) -> ListVectors:
        read.append(len(lists))
        return whole(self, lists)

    monkeypatch.setattr(kind, "encode", counted)
    for expected in ([1, 60], [1]):  # one list before it serves, to see that it can
        recommender = Recommender(store, bundle=uri)
        recommender.warm_up()
        assert read == expected
        read.clear()
        first = recommender.lists.similar_to("list-3", SimilarOptions(k=5))
        assert read == [1]  # the list that is asked about, and no other
        recommender.close()
        read.clear()
    recommender = Recommender(store, bundle=uri)
    recommender.put_playlist("list-9", None, list(dataset().item_ids[:4]))
    again = recommender.lists.similar_to("list-3", SimilarOptions(k=5))
    assert read == [1, 1, 1]
    assert first.encoder == again.encoder
    part = trained("playlist-seq2seq", epochs=2).hash
    assert store.vectors(part, ["list-8"], owner="playlist")
    recommender.delete_playlist("list-8")
    assert not store.vectors(part, ["list-8"], owner="playlist")
    recommender.close()


def test_an_empty_question_is_of_its_own_kind(served: tuple[Recommender, Store, Planted]) -> None:
    with pytest.raises(NothingKnown):
        served[0].lists.continued([], None)


def test_rows_that_differ_are_those_whose_vectors_do() -> None:
    before = trained("set", kind="hybrid", epochs=2)
    assert isinstance(before, SetListEncoder)
    text = np.ones((2, 32), dtype=np.float32) / 32**0.5
    after = before.with_items(np.array([3, ITEMS + 5]), text)
    assert after.changed_rows(before).tolist() == [3, ITEMS + 5]
    assert not len(after.changed_rows(after))


def test_the_index_of_lists_is_made_when_it_is_asked_for(store: Store) -> None:
    stored, encoder = PlaylistIndex(store), trained("set", epochs=2)
    now = stored.now(ItemVectorizer(encoder, Catalogue(dataset().item_ids), store))
    assert list(now.indexes) == [f"set:{encoder.hash}"]
    assert int(now.active.sum()) == 60


@pytest.mark.slow
def test_what_read_lists_for_a_replaced_bundle_is_forgotten(store: Store) -> None:
    """Five bundles, one after another: encoders of the same names, each with vectors of its own."""
    stored, catalogue, data = PlaylistIndex(store), Catalogue(dataset().item_ids), dataset()
    stored.now(NameVectorizer())
    held, alive = list[int](), list[weakref.ref[MeanEncoder]]()
    tracemalloc.start()
    for number in range(6):
        vectors = np.random.default_rng(number).normal(size=(data.items, 3000)).astype(np.float32)
        for name, config in (("mean", MEAN), ("weighted", MeanConfig(alpha=0.1))):
            encoder = fit_mean(data, vectors, config, name=name)
            now = stored.now(ItemVectorizer(encoder, catalogue, store))
            alive.append(weakref.ref(encoder))
        assert [key.partition(":")[0] for key in now.indexes] == ["names", "mean", "weighted"]
        del vectors, encoder, now
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert [one() is not None for one in alive] == [False] * 10 + [True] * 2
    one_index = 60 * 3000 * 4
    assert max(held) - held[0] < one_index


def test_a_later_list_of_which_nothing_is_known_is_passed_over(store: Store, tmp_path: Path) -> None:
    """Its item came after the training of an encoder that reads no texts."""
    recommender = Recommender(store, bundle=bundle_of("set", tmp_path))
    recommender.lists.similar_to("list-3", SimilarOptions(k=5))
    recommender.put_items([ItemDraft(item_id="odd item")])
    recommender.put_playlist("odd", None, ["odd item"])
    answer = recommender.lists.similar_to("list-3", SimilarOptions(k=100))
    assert "odd" not in [one.playlist_id for one in answer.playlists]
    assert len(answer.playlists) == 59
    recommender.close()
