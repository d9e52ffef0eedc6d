"""What holds histories, or was learned from them, is for its owner alone: new files whatever the umask, and older ones."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from recsys.bundle_io import add_figures, load_bundle, save_bundle
from recsys.private_files import open_private
from recsys.store import Store
from recsys.store.records import EventDraft, ItemDraft
from recsys.store.sessions import upgrade
from recsys.training.checkpoints import Resumed, exclusive_lock, load_checkpoint, save_checkpoint
from tests.test_bundle import BUNDLE


@pytest.fixture(autouse=True, params=[0o000, 0o022])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.stat().st_mode & 0o077]


@pytest.mark.parametrize("older", [False, True], ids=["new", "older"])
def test_a_database_and_its_journals(tmp_path: Path, *, older: bool) -> None:
    folder = tmp_path / "data"
    folder.mkdir(0o700)
    folder.chmod(0o700)
    url = f"sqlite:///{folder}/store.db"
    upgrade(url)
    if older:
        (folder / "store.db").chmod(0o666)
        (folder / "store.db-shm").touch()
        (folder / "store.db-shm").chmod(0o666)
    store = Store.open(url)
    store.put_items([ItemDraft(item_id="a")])
    store.add_events([EventDraft(user_id="u", item_id="a")])
    assert {path.name for path in folder.iterdir()} == {"store.db", "store.db-wal", "store.db-shm"}
    assert open_to_others(folder) == []
    store.close()


def test_a_bundle_with_figures_added(tmp_path: Path) -> None:
    uri = save_bundle(BUNDLE, str(tmp_path), name="mine")
    add_figures(uri, {"p": {"test": {"ndcg@10": 0.1}}})
    assert open_to_others(tmp_path) == []
    load_bundle(uri)


def test_a_checkpoint_and_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "run.pt"
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with exclusive_lock(path):
        save_checkpoint(path, model, optimizer, Resumed(1, 2, 1, 0.5, None))
        assert open_to_others(tmp_path) == []
    assert load_checkpoint(path, model, optimizer).epoch == 1


def test_a_report_over_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.touch()
    path.chmod(0o666)
    with open_private(path) as file:
        file.write("{}")
    assert open_to_others(tmp_path) == []


def test_a_device_stays_as_it_is() -> None:
    mode = Path("/dev/null").stat().st_mode
    open_private(Path("/dev/null")).close()
    assert Path("/dev/null").stat().st_mode == mode
