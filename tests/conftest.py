"""What every test starts from: one torch thread, one seed, no settings from the environment."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from recsys.service import Recommender
from recsys.store import Store
from tests.ordering import spread
from tests.worlds import Planted, train_small

os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)
settings.register_profile("house", derandomize=True, deadline=None)  # the same cases each time, on a busy machine too
settings.load_profile("house")

pytest_plugins = ["tests.databases"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = spread(items, workers=int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


@pytest.fixture(autouse=True)
def _same_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RECSYS_") and name != "RECSYS_REQUIRE_BROWSER"]:
        monkeypatch.delenv(name)
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """A store with an active bundle, for tests that only read."""
    return train_small(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def served(trained: Planted, tmp_path: Path) -> Iterator[tuple[Recommender, Store, Planted]]:
    """A recommender over a copy of `trained`, to write into."""
    mine = trained.copy(tmp_path)
    store = Store.open(mine.url)
    recommender = Recommender(store)
    yield recommender, store, mine
    recommender.close()
    store.close()
