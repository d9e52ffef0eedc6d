"""A blend over the catalogue's own text encoder carries it: serving needs nothing beside the bundle."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from recsys.bundle import Bundle
from recsys.bundle_io import load_bundle, save_bundle
from recsys.errors import BundleError
from recsys.evaluation.report import Report
from recsys.evaluation.run import evaluate
from recsys.service import Options, Recommender
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.training.job import Saved, TrainingRequest, train_from_store
from tests.encoders.test_catalogue import random_part
from tests.worlds import PLAN, Planted


@pytest.fixture
def encoder(tmp_path: Path) -> str:
    """The URI of a bundle with a text encoder alone."""
    bundle = Bundle(parts={"item-text": random_part()}, default="item-text", item_ids=(), about={})
    return save_bundle(bundle, str(tmp_path), name="encoder")


def train(store: Store, folder: Path, encoder: str, *, model: str, include: tuple[str, ...] = ()) -> Saved:
    plan = replace(PLAN, text_encoder=encoder, overrides={"sasrec-text": {"loop": {"epochs": 1}}})
    facts = train_from_store(
        store,
        plan,
        TrainingRequest(model=model, folder=str(folder / "b"), name=model, checkpoints=folder / "c", include=include),
    )
    return next(fact for fact in facts if isinstance(fact, Saved))


def test_a_new_item_is_read_by_the_encoder_inside(trained: Planted, tmp_path: Path, encoder: str) -> None:
    store = Store.open(trained.copy(tmp_path).url)
    saved = train(store, tmp_path, encoder, model="sasrec-text")
    assert set(saved.bundle.parts) == {"sasrec-text", "item-text"}
    shutil.rmtree(encoder)
    recommender = Recommender(store, bundle=saved.uri)
    item = store.item("item-000")
    recommender.put_items([ItemDraft(item_id="twin", title=item.title, attributes=item.attributes, domain="tools")])
    assert not recommender.readiness().reasons
    answer = recommender.recommend(history=["item-001"], options=Options(k=1000))
    assert "twin" in {found.item_id for found in answer.items}
    recommender.close()
    store.close()


def test_a_part_over_another_encoder_is_not_blended(trained: Planted, tmp_path: Path, encoder: str) -> None:
    store = Store.open(trained.copy(tmp_path).url)
    uri = train(store, tmp_path, encoder, model="sasrec-text").uri
    facts = train_from_store(
        store,
        PLAN,
        TrainingRequest(model="blend", folder=str(tmp_path / "b"), checkpoints=tmp_path / "c", include=(uri,)),
    )
    with pytest.raises(BundleError, match="stands on another text encoder"):
        list(facts)
    store.close()


@pytest.mark.slow
def test_the_encoder_inside_is_measured_over_the_items(trained: Planted, tmp_path: Path, encoder: str) -> None:
    store = Store.open(trained.copy(tmp_path).url)
    report = list(evaluate(store, uri=train(store, tmp_path, encoder, model="text").uri))[-1]
    assert isinstance(report, Report)
    row = next(row for row in report.rows if row.name == "item-text")
    assert row.hit.mean > 0.1
    assert row.coverage > 0.5
    store.close()


def test_a_text_encoder_alone_is_not_evaluated_on_events(trained: Planted, tmp_path: Path, encoder: str) -> None:
    alone = replace(load_bundle(encoder), about={"data": {"items": 40, "pairs": 100}})
    uri = save_bundle(alone, str(tmp_path), name="alone")
    store = Store.open(trained.url)
    with pytest.raises(BundleError, match="alone holds a text encoder alone, and its training has measured it"):
        list(evaluate(store, uri=uri))
    with pytest.raises(BundleError, match=f"a text encoder alone, not a part to blend: set RECSYS_TEXT_ENCODER={uri}"):
        train(store, tmp_path, "hashed", model="blend", include=(uri,))
    store.close()
