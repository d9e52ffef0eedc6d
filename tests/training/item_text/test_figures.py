"""`recsys train item-text` from a store: figures of each size, sizes that fall behind, domains added, runs not to be resumed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from recsys.bundle_io import load_bundle
from recsys.data.corpus import read_corpus
from recsys.encoders.catalogue import CatalogueTextEncoder
from recsys.errors import BundleError, InvalidRequest, NotReady
from recsys.retrieval import truncation as sizes
from recsys.service import Recommender
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.training.item_text.config import ItemTextRecipe
from recsys.training.item_text.figures import HeldOut, measured, split
from recsys.training.job import Saved, TrainingRequest, train_from_store
from recsys.training.plan import Plan, Progress
from tests.training.item_text.texts import SMALL, part_of, world
from tests.worlds import Planted


def test_what_one_encoder_gains_over_another_is_what_the_other_loses() -> None:
    data = world()
    held_out = HeldOut(np.arange(80), data.pairs)
    little, much = (
        CatalogueTextEncoder.from_part(part_of(replace(SMALL, loop=replace(SMALL.loop, epochs=epochs)), data))
        for epochs in (1, 4)
    )
    gain, loss = (
        measured(first, data, held_out, start=other)["with_minus_without"]
        for first, other in ((much, little), (little, much))
    )
    assert gain["low"] > 0
    assert loss["mean"] == pytest.approx(-gain["mean"])
    assert gain["low"] < gain["mean"] < gain["high"]


@pytest.mark.slow
class TestFromTheStore:
    PLAN = Plan(
        text_encoder="hashed",
        include_seen=False,
        overrides={
            "item-text": {
                "start": "random",
                "layers": 2,
                "width": 16,
                "heads": 2,
                "vocabulary": 200,
                "offered": [[1, 16], [2, 8]],
                "expert_pairs": 1,
                "held_out": 0.2,
                "pairs": {"lists": 2},
                "loop": {"epochs": 2},
            }
        },
    )

    def run(self, store: Store, folder: Path, plan: Plan, **more: Any) -> Saved:
        facts = list(
            train_from_store(
                store,
                plan,
                TrainingRequest(model="item-text", folder=str(folder / "b"), checkpoints=folder / "c", **more),
            )
        )
        assert any(isinstance(fact, Progress) and "to learn" in fact.fact for fact in facts)
        assert isinstance(facts[-1], Saved)
        return facts[-1]

    def test_the_command_saves_one_part_with_figures_for_each_setting(self, trained: Planted, tmp_path: Path) -> None:
        store = Store.open(trained.copy(tmp_path).url)
        part = load_bundle(self.run(store, tmp_path, self.PLAN).uri).part("item-text")
        settings = part.figures["settings"]
        assert [(setting["layers"], setting["dims"]) for setting in settings] == [(1, 16), (2, 8), (2, 16)]
        assert all(0 <= setting["recall@10"] <= 1 and setting["texts_per_second"] > 0 for setting in settings)
        assert all(
            setting["interval"][0] <= setting["recall@10"] <= setting["interval"][1] and setting["queries"]
            for setting in settings
        )
        assert all(setting["of_separate"] is None for setting in settings)
        assert part.figures["with_minus_without"] is None  # it started from nothing
        assert not list((tmp_path / "c").glob("*"))
        store.close()

    def test_an_encoder_that_learned_nothing_gains_nothing_over_its_start(
        self, trained: Planted, tmp_path: Path
    ) -> None:
        store = Store.open(trained.copy(tmp_path).url)
        table = {
            "start": "packaged",
            "offered": [],
            "expert_layers": 0,
            "salad_stay": 0.0,
            "held_out": 0.2,
            "pairs": {"lists": 2},
            "loop": {"epochs": 1, "learning_rate": 1e-12},
        }
        uri = self.run(store, tmp_path, replace(self.PLAN, overrides={"item-text": table})).uri
        figures = load_bundle(uri).part("item-text").figures
        assert figures["settings"][-1]["queries"] > 0
        assert figures["with_minus_without"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
        store.close()

    def test_a_size_that_falls_behind_a_model_of_its_own_is_withheld_over_http(
        self, trained: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = Store.open(trained.copy(tmp_path).url)
        table = {**self.PLAN.overrides["item-text"], "compare": True, "expert_layers": 2}
        uri = self.run(store, tmp_path, replace(self.PLAN, overrides={"item-text": table})).uri
        settings = load_bundle(uri).part("item-text").figures["settings"]
        first, second = (setting["of_separate"] for setting in settings[:-1])
        assert first != second
        assert settings[-1]["of_separate"] is None
        monkeypatch.setattr(sizes, "MIN_RETAINED", (first + second) / 2)
        recommender = Recommender(store, bundle=uri)
        with TestClient(create_app(recommender)) as client:
            (part,) = client.get("/v1/models").json()["parts"]
            withheld = [size["withheld"] is not None for size in part["sizes"]]
            assert withheld == [first < second, second < first, False]
            for size, hidden in zip(part["sizes"], withheld, strict=True):
                body = {"query": "anything", "layers": size["layers"], "dims": size["dims"]}
                reasons = [warning["why"] for warning in client.post("/v1/search", json=body).json()["degraded"]]
                assert bool(reasons) == hidden
                assert all("is withheld: it keeps" in why and "answered at 2 layers" in why for why in reasons)
        recommender.close()
        store.close()

    def test_sizes_cannot_be_compared_without_items_held_out(self, trained: Planted, tmp_path: Path) -> None:
        store = Store.open(trained.copy(tmp_path).url)
        table = {**self.PLAN.overrides["item-text"], "compare": True, "held_out": 0.0}
        with pytest.raises(InvalidRequest, match="compare=true with held_out=0"):
            self.run(store, tmp_path, replace(self.PLAN, overrides={"item-text": table}))
        store.close()

    def test_a_domain_is_added_and_no_other_vector_changes_a_bit(self, trained: Planted, tmp_path: Path) -> None:
        planted = trained.copy(tmp_path)
        store = Store.open(planted.url)
        names = {0: "x", 1: "y", 2: "x"}

        def labelled(names: dict[int, str]) -> None:
            items = [store.item(item_id) for item_id in planted.world.cluster]
            store.put_items(
                [
                    ItemDraft(
                        item_id=item.item_id,
                        title=item.title,
                        attributes=item.attributes,
                        domain=names.get(planted.world.cluster[item.item_id]),
                    )
                    for item in items
                ]
            )

        labelled(names)
        first = self.run(store, tmp_path, self.PLAN, name="first").uri
        with pytest.raises(NotReady, match="0 pairs of items with a text of z that go together"):
            self.run(store, tmp_path, self.PLAN, include=(first,), domain="z")
        labelled(names | {3: "z"})
        second = self.run(store, tmp_path, self.PLAN, name="second", include=(first,), domain="z").uri
        old, new = (CatalogueTextEncoder.from_part(load_bundle(uri).part("item-text")) for uri in (first, second))
        assert (old.domains, new.domains) == (("x", "y"), ("x", "y", "z"))
        texts = [store.item(item_id).title or "" for item_id in planted.world.cluster]
        for domain in ("x", "y", None, "unheard of"):
            for layers, vectors in old.encode_exits(texts, domains=[domain] * len(texts)).items():
                again = new.encode_exits(texts, domains=[domain] * len(texts))[layers]
                np.testing.assert_array_equal(again, vectors)
        assert not np.array_equal(new.encode_documents(texts, domains=["z"] * len(texts)), old.encode_documents(texts))
        assert [setting["dims"] for setting in load_bundle(second).part("item-text").figures["added"]["z"]] == [
            16,
            8,
            16,
        ]
        with pytest.raises(InvalidRequest, match="has an expert for 'z' already; its domains are x, y, z"):
            self.run(store, tmp_path, self.PLAN, include=(second,), domain="z")
        built = {**self.PLAN.overrides["item-text"], "layers": 5, "offered": [[1, 16]]}
        with pytest.raises(
            InvalidRequest, match=r"layers, offered: .* is built already; for one more domain you may change"
        ):
            self.run(store, tmp_path, replace(self.PLAN, overrides={"item-text": built}), include=(first,), domain="z")
        store.close()

    def test_a_domain_is_added_to_one_encoder_with_experts_alone(self, trained: Planted, tmp_path: Path) -> None:
        store = Store.open(trained.copy(tmp_path).url)
        with pytest.raises(InvalidRequest, match="a domain is added to the encoder of one bundle"):
            self.run(store, tmp_path, self.PLAN, domain="z")
        with pytest.raises(BundleError, match="holds no text encoder"):
            self.run(store, tmp_path, self.PLAN, domain="z", include=(trained.bundle,))
        dense = self.run(store, tmp_path, self.PLAN, name="dense").uri
        with pytest.raises(InvalidRequest, match="has one expert for all: train `item-text` on items of two or more"):
            self.run(store, tmp_path, self.PLAN, domain="z", include=(dense,))
        store.close()

    def test_a_run_is_not_resumed_after_items_went_to_other_domains(self, trained: Planted, tmp_path: Path) -> None:
        planted = trained.copy(tmp_path)
        store = Store.open(planted.url)

        def epochs(*, resume: bool, stop: int | None = None) -> list[str]:
            facts = train_from_store(
                store,
                self.PLAN,
                TrainingRequest(model="item-text", folder=str(tmp_path / "b"), checkpoints=tmp_path / "c"),
                resume=resume,
            )
            messages = list[str]()
            for fact in facts:
                if isinstance(fact, Progress) and fact.fact.startswith("epoch"):
                    messages.append(fact.fact.split(",")[0])
                    if len(messages) == stop:
                        facts.close()
                        break
            return messages

        assert epochs(resume=False, stop=1) == ["epoch 1"]
        items = [store.item(item_id) for item_id in planted.world.cluster]
        store.put_items(
            [
                ItemDraft(item_id=item.item_id, title=item.title, attributes=item.attributes, domain="new")
                for item in items
            ]
        )
        assert epochs(resume=True, stop=1) == ["epoch 1"]
        assert epochs(resume=True) == ["epoch 2"]
        store.close()

    def test_a_second_domain_is_added_with_the_settings_of_the_first(self, trained: Planted, tmp_path: Path) -> None:
        planted = trained.copy(tmp_path)
        store = Store.open(planted.url)
        items = [store.item(item_id) for item_id in planted.world.cluster]

        def labelled(names: dict[int, str]) -> None:
            domains = {item.item_id: names.get(planted.world.cluster[item.item_id]) for item in items}
            store.put_items(
                [ItemDraft(item_id=item.item_id, title=item.title, domain=domains[item.item_id]) for item in items]
            )

        table = {**self.PLAN.overrides["item-text"], "keep": 0.3, "loop": {"epochs": 1, "weight_decay": 0.1}}
        plan = replace(self.PLAN, overrides={"item-text": table})
        uri, names = "", {0: "x", 1: "y"}
        labelled(names)
        uri = self.run(store, tmp_path, plan, name="first").uri
        recipe = load_bundle(uri).part("item-text").config["recipe"]
        for number, domain in ((2, "z"), (3, "w")):
            labelled(names := names | {number: domain})
            uri = self.run(store, tmp_path, plan, name=domain, include=(uri,), domain=domain).uri
        assert CatalogueTextEncoder.from_part(load_bundle(uri).part("item-text")).domains == ("x", "y", "z", "w")
        assert load_bundle(uri).part("item-text").config["recipe"] == recipe
        assert recipe["keep"] == 0.3
        store.close()

    def test_nothing_is_learned_of_items_held_out_nor_of_items_without_a_text(
        self, trained: Planted, tmp_path: Path
    ) -> None:
        store = Store.open(trained.copy(tmp_path).url)
        corpus = read_corpus(store, holdout="none")
        recipe = replace(ItemTextRecipe(), held_out=0.3)
        data, held_out = split(corpus, recipe, seed=0)
        assert len(held_out.rows) > 5
        assert not np.isin(data.pairs.rows, held_out.rows).any()
        assert np.isin(held_out.pairs.rows, held_out.rows).any(axis=1).all()
        without_text = set(np.unique(data.pairs.rows)[:5].tolist())
        texts = tuple("" if row in without_text else text for row, text in enumerate(corpus.texts))
        data, held_out = split(replace(corpus, texts=texts), recipe, seed=0)
        assert not np.isin(np.concatenate([data.pairs.rows, held_out.pairs.rows]), list(without_text)).any()
        with pytest.raises(NotReady, match="0 pairs of items with a text"):
            split(replace(corpus, texts=("",) * len(texts)), recipe, seed=0)
        store.close()

    @pytest.mark.parametrize("model", ["item-text", "set", "playlist-seq2seq"])
    def test_what_is_misspelt_or_taken_is_said_before_anything_is_read(
        self, trained: Planted, tmp_path: Path, model: str
    ) -> None:
        store = Store.open(trained.copy(tmp_path).url)
        (tmp_path / "taken").mkdir()
        for plan, name, error, why in (
            (replace(self.PLAN, overrides={"itemtext": {}}), "free", InvalidRequest, "unknown model 'itemtext'"),
            (self.PLAN, "taken", BundleError, "taken is there already: choose another name"),
        ):
            facts = train_from_store(
                store, plan, TrainingRequest(model=model, folder=str(tmp_path), name=name, checkpoints=tmp_path / "c")
            )
            with pytest.raises(error, match=why):
                next(facts)
        store.close()

    def test_too_few_pairs_are_said(self, trained: Planted, tmp_path: Path) -> None:
        store = Store.open(trained.copy(tmp_path).url)
        rare = {**self.PLAN.overrides["item-text"], "pairs": {"lists": 140}}
        with pytest.raises(NotReady, match=r"import more lists, titles or attributes, or lower `lists` \(140\)"):
            self.run(store, tmp_path, replace(self.PLAN, overrides={"item-text": rare}))
        store.close()
