"""Weights are read from a folder or a package, and a wrong name is said at once, without a network."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from models.errors import ConfigError
from models.pretrained import load_sentence_encoder, load_text_encoder, packaged_folder, weights_hash


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_the_package_and_its_folder_are_the_same_encoder() -> None:
    folder = packaged_folder()
    assert folder is not None
    packaged, local = (load_sentence_encoder(name, device="cpu") for name in ("packaged", str(folder)))
    texts = ["Star Wars", "a film about a war in space", "wool socks"]
    np.testing.assert_allclose(packaged.encode(texts), local.encode(texts), atol=1e-6)
    assert weights_hash(packaged) == weights_hash(local)
    film, about, socks = packaged.encode(texts)
    assert film @ about > film @ socks


def test_other_weights_have_another_hash() -> None:
    encoder = load_sentence_encoder("packaged", device="cpu")
    before = weights_hash(encoder)
    next(encoder.parameters()).data[0, 0] += 1
    assert weights_hash(encoder) != before


@pytest.mark.parametrize("name", ["", "./none", "/no/such/folder", "~/none", "a/b/c"])
def test_a_name_that_is_no_encoder_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="name a folder or a hub model"):
        load_sentence_encoder(name, device="cpu")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_sentence_encoder(str(tmp_path), device="cpu")


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", {"model_type": None}),
        ("config.json", {"intermediate_size": None}),
        ("config.json", {"hidden_act": "relu"}),
        ("config.json", {"hidden_size": 0}),
        ("config.json", {"hidden_size": "384"}),
        ("config.json", {"intermediate_size": 1000}),
        ("1_Pooling/config.json", []),
    ],
    ids=str,
)
def test_a_damaged_folder_is_refused_in_one_sentence(tmp_path: Path, file: str, change: object) -> None:
    folder = packaged_folder()
    assert folder is not None
    shutil.copytree(folder, tmp_path / "copy")
    path = tmp_path / "copy" / file
    stored = json.loads(path.read_text(encoding="utf-8"))
    merged = change if isinstance(change, list) else {k: v for k, v in (stored | dict(change)).items() if v is not None}  # type: ignore[call-overload]
    path.write_text(json.dumps(merged), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"text encoder .*copy.*(name a)") as refused:
        load_text_encoder(str(tmp_path / "copy"))
    assert "\n" not in str(refused.value)
