"""What every test starts from: one torch thread, one seed, no settings from the environment."""

import os

import numpy as np
import pytest
import torch

os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RECSYS_") and name != "RECSYS_REQUIRE_BROWSER"]:
        monkeypatch.delenv(name)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  (libraries that draw from the global generator)
