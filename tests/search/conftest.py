"""A blend with a text encoder of several sizes, over a store of its own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from recsys.bundle_io import load_bundle, save_bundle
from recsys.service import Recommender
from recsys.store import Store
from recsys.store.records import ItemDraft
from recsys.store.sessions import upgrade
from tests.encoders.test_catalogue import random_part
from tests.worlds import Planted


@pytest.fixture(scope="module")
def sized(trained: Planted, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The trained blend with a text encoder of several sizes beside its parts, one of which is below its bar."""
    bundle = load_bundle(trained.bundle)
    keeps = {(1, 8): 0.9, (2, 16): 0.99, (3, 16): 1.0}
    settings = [
        {"layers": layers, "dims": dims, "recall@10": 0.3, "texts_per_second": 1000.0 / layers, "of_separate": share}
        for (layers, dims), share in keeps.items()
    ]
    part = replace(random_part(), figures={"settings": settings})
    parts = {name: bundle.parts[name] for name in ("popular", "markov")} | {"item-text": part}
    return save_bundle(
        replace(bundle, parts=parts, default="markov"), str(tmp_path_factory.mktemp("sized")), name="sized"
    )


@pytest.fixture
def store(trained: Planted, tmp_path: Path) -> Iterator[Store]:
    store = Store.open(trained.copy(tmp_path).url)
    store.put_items([ItemDraft(item_id="hammer", title="claw hammer", domain="tools")])
    store.put_items([ItemDraft(item_id="lute", title="acoustic lute", domain="music")])
    yield store
    store.close()


@pytest.fixture
def recommender(store: Store, sized: str) -> Iterator[Recommender]:
    recommender = Recommender(store, bundle=sized)
    yield recommender
    recommender.close()


@pytest.fixture
def store_alone(tmp_path: Path) -> Iterator[Recommender]:
    """A recommender without a bundle."""
    upgrade(url := f"sqlite:///{tmp_path}/untrained.db")
    store = Store.open(url)
    store.put_items([ItemDraft(item_id="lute", title="acoustic lute", domain="music")])
    recommender = Recommender(store)
    yield recommender
    recommender.close()
    store.close()
