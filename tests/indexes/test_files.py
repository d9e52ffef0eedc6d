"""An index in a file: whole or refused."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save as write_safetensors

from recsys.errors import BundleError
from recsys.indexes.build import IndexConfig
from recsys.indexes.files import load, save, with_digest
from recsys.indexes.space import Space
from tests.indexes.reference import CONFIGS, GRAPH, clusters, over, rows_of


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("index") / "items.index"
    save(over(GRAPH, clusters(np.random.default_rng(0), 50)), path)
    return path.read_bytes()


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_loaded_index_answers_as_the_saved_one(config: IndexConfig, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    index = (
        over(config, clusters(generator, 600)).without(rows_of(3, 4)).with_rows(rows_of(700), clusters(generator, 1))
    )
    save(index, tmp_path / "items.index")
    again, queries = load(tmp_path / "items.index"), clusters(generator, 20)
    for allowed in (None, generator.random((20, 701)) < 0.5):
        for a, b in zip(
            index.search(queries, k=9, allowed=allowed), again.search(queries, k=9, allowed=allowed), strict=True
        ):
            np.testing.assert_array_equal(a, b)
    assert type(again) is type(index)
    assert again.part("p").hash == index.part("p").hash
    assert [path.name for path in tmp_path.iterdir()] == ["items.index"]


@given(data=st.data())
def test_one_changed_byte_is_noticed(
    written: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(written) - 1))
    path = tmp_path_factory.getbasetemp() / "changed.index"
    path.write_bytes(written[:at] + bytes([written[at] ^ data.draw(st.integers(1, 255))]) + written[at + 1 :])
    with pytest.raises(BundleError, match=r"changed\.index is damaged: .* restore it or build it again"):
        load(path)


@pytest.mark.parametrize("size", [0, 10, 64, 65, 1000])
def test_a_short_file_is_noticed(written: bytes, tmp_path: Path, size: int) -> None:
    (tmp_path / "short.index").write_bytes(written[:size])
    with pytest.raises(BundleError, match="damaged"):
        load(tmp_path / "short.index")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no index at .*none\.index \(No such file or directory\); build it again"):
        load(tmp_path / "none.index")


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ({"format": 1, "kind": "tree", "config": {}}, "'x.index' is of kind 'tree', unknown to this version"),
        ({"format": 2, "kind": "exact", "config": {}}, "has index format 2; this version reads 1: build it again"),
        ({"format": 1, "kind": "hnsw", "config": {}}, "does not fit its settings .*'graph'.*; build it again"),
        ({"format": 1, "kind": "exact", "config": {"wide": 1}}, "does not fit its settings .*wide.*; build it again"),
        ({"format": 1, "kind": "exact", "config": {"at_once": 0}}, "does not fit its settings .*at_once=0"),
        ({"format": 1}, "holds no index .'kind'.; build it again"),
        ([], "holds no index .*; build it again"),
    ],
)
def test_a_whole_file_of_something_else_is_refused(tmp_path: Path, head: object, why: str) -> None:
    arrays = {"vectors": np.ones((2, 2), dtype=np.float32), "known": np.ones(2, dtype=np.bool_)}
    (tmp_path / "x.index").write_bytes(with_digest(json.dumps(head).encode() + b"\n" + write_safetensors(arrays)))
    with pytest.raises(BundleError, match=why):
        load(tmp_path / "x.index")


def test_arrays_that_are_no_safetensors_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.index").write_bytes(
        with_digest(b'{"format": 1, "kind": "exact", "config": {}}\nnothing of the kind')
    )
    with pytest.raises(BundleError, match=r"x\.index holds no index"):
        load(tmp_path / "x.index")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bytes) -> None:
    path = tmp_path / "items.index"
    path.write_bytes(written)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BundleError, match=r"not written to .*items\.index: .*No space left.*; free space"):
        save(over(GRAPH, clusters(np.random.default_rng(1), 50)), path)
    assert [p.name for p in tmp_path.iterdir()] == ["items.index"]
    assert path.read_bytes() == written


def test_a_reader_keeps_the_file_that_it_opened(tmp_path: Path, written: bytes) -> None:
    path = tmp_path / "items.index"
    path.write_bytes(written)
    with path.open("rb") as reader:
        save(over(GRAPH, clusters(np.random.default_rng(1), 50)), path)
        assert reader.read() == written
    assert path.read_bytes() != written


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            Space(encoder="a" * 64, layers=3, dims=24),
            "is of encoder aaaaaaaaaaaa, 3 layers, 24 dims, not of encoder aaaa",
        ),
        (Space(encoder="a" * 64, layers=6, dims=8), "8 dims, not of .* 24 dims: vectors of different spaces never mix"),
        (Space(encoder="b" * 64, layers=6, dims=24), "encoder bbbbbbbbbbbb, .* build it again"),
        (None, "does not say of which space its vectors are, encoder aaaaaaaaaaaa, 6 layers, 24 dims is needed"),
    ],
)
def test_vectors_of_another_space_are_refused(tmp_path: Path, other: Space | None, message: str) -> None:
    index, space = over(GRAPH, clusters(np.random.default_rng(0), 50)), Space(encoder="a" * 64, layers=6, dims=24)
    save(index, tmp_path / "own.index", space=space)
    assert load(tmp_path / "own.index", space=space).part("p").hash == index.part("p").hash
    save(index, tmp_path / "other.index", space=other)
    with pytest.raises(BundleError, match=message):
        load(tmp_path / "other.index", space=space)
